"""A table of photos: the person in each, and further attributes."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.errors import LikenessError
from likeness.evaluation.pairs import PairSet, read_pairs
from likeness.system.bounded_file import check_regular

_REQUIRED = ("image", "person")


class PhotoTableError(LikenessError):
    """A table of photos cannot be used; the message has the file, the line and the cause."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoTable:
    """The names of N `photos`, the number of the person in each (`people`, (N,)), and further `columns` of N labels by
    name, "" for unknown.
    """

    photos: tuple[str, ...]
    people: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.str_]]

    def cells(self, within: Sequence[str]) -> NDArray[np.str_]:
        """The cell (N,) of each photo: its labels in the columns `within` joined by ", "; "" if one is unknown.

        Without columns all photos are in one cell, "all". PhotoTableError for a column that the table does not have.
        """
        for name in within:
            if name not in self.columns:
                known = ", ".join(self.columns) or "no further columns"
                raise PhotoTableError(f"the table has no column {name}; it has {known}")
        if not within:
            return np.full(len(self.photos), "all")
        rows = list(zip(*(self.columns[name] for name in within), strict=True))
        return np.array([", ".join(row) if all(row) else "" for row in rows])


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTable:
    """The photos of a CSV file, and its pairs if it lists pairs."""

    photos: PhotoTable
    pairs: PairSet | None = None


def is_photo_table(path: Path) -> bool:
    """Whether the CSV file at `path` lists photos, not pairs, judged by its first line."""
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return "image_a" not in names and "image" in names


def read_photo_table(path: Path) -> PhotoTable:
    """The table in a CSV file with the columns image, person and any others. Raises PhotoTableError."""
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name for name in reader.fieldnames or () if name]
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PhotoTableError(f"{path} cannot be read as a CSV table of photos: {error}") from error
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise PhotoTableError(f"{path}: the first line must name the columns; {', '.join(missing)} is missing")
    seen: dict[str, int] = {}
    for line, row in rows:
        if not all((row[name] or "").strip() for name in _REQUIRED):
            raise PhotoTableError(f"{path}, line {line}: needs an image and a person")
        if row["image"] in seen:
            raise PhotoTableError(f"{path}, line {line}: {row['image']} is already in line {seen[row['image']]}")
        seen[row["image"]] = line
    if not rows:
        raise PhotoTableError(f"{path} lists no photos")
    _, people = np.unique([row["person"].strip() for _, row in rows], return_inverse=True)
    columns = {
        name: np.array([(row[name] or "").strip() for _, row in rows]) for name in names if name not in _REQUIRED
    }
    return PhotoTable(tuple(seen), np.asarray(people, dtype=np.int64), columns)


def read_either(path: Path) -> LabelledTable:
    """The table of photos or of pairs in a CSV file. Raises PhotoTableError, PairsError."""
    if is_photo_table(path):
        return LabelledTable(read_photo_table(path))
    pairs = read_pairs(path)
    return LabelledTable(PhotoTable(pairs.photos, pairs.people, {}), pairs)
