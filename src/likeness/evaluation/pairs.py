"""Labelled pairs of photos, and the people in them."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.errors import LikenessError
from likeness.system.bounded_file import check_regular

_REQUIRED = ("image_a", "image_b", "same")
_OPTIONAL = ("fold", "group", "person_a", "person_b")
_TRUE, _FALSE = {"1", "true", "yes", "same"}, {"0", "false", "no", "different"}


class PairsError(LikenessError):
    """A file of pairs cannot be used; the message has the file, the line and the cause."""


@dataclass(frozen=True, slots=True, eq=False)
class PairSet:
    """Pairs as indices into `photos`.

    `first`, `second` (P,) index photos; `same` (P,) is whether both show one person; `people` (N,) numbers the person
    in each photo; `folds` and `groups` (P,) are labels, None if the file has none.
    """

    photos: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    people: NDArray[np.int64]
    folds: NDArray[np.str_] | None = None
    groups: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.first)


def read_pairs(path: Path) -> PairSet:
    """The pairs in a CSV file: columns image_a, image_b, same (1 or 0), and fold, group, person_a, person_b if any.

    Without person columns, the person is the photo's folder if that agrees with all labels, and otherwise derived from
    the pairs marked as the same. Raises PairsError.
    """
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(csv.DictReader(file), path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PairsError(f"{path} cannot be read as a CSV file of pairs: {error}") from error
    if not rows:
        raise PairsError(f"{path} has no pairs; it needs one per line, with the columns {', '.join(_REQUIRED)}")
    photos = tuple(dict.fromkeys(name for row in rows for name in (row["image_a"], row["image_b"])))
    index = {name: place for place, name in enumerate(photos)}
    first = np.array([index[row["image_a"]] for row in rows])
    second = np.array([index[row["image_b"]] for row in rows])
    same = np.array([row["same"] == "1" for row in rows])
    return PairSet(
        photos,
        first,
        second,
        same,
        _people(photos, rows, first, second, same, path),
        folds=_labels(rows, "fold"),
        groups=_labels(rows, "group"),
    )


def every_pair(pairs: PairSet) -> PairSet:
    """All pairs of the photos of `pairs`, labelled by their people."""
    first, second = np.triu_indices(len(pairs.photos), k=1)
    same = pairs.people[first] == pairs.people[second]
    return PairSet(pairs.photos, first, second, same, pairs.people)


def without(pairs: PairSet, usable: NDArray[np.bool_]) -> PairSet:
    """The pairs whose photos are both `usable` (N,), as indices into the usable ones."""
    places = np.cumsum(usable) - 1
    kept = usable[pairs.first] & usable[pairs.second]
    return PairSet(
        tuple(photo for photo, use in zip(pairs.photos, usable, strict=True) if use),
        places[pairs.first[kept]],
        places[pairs.second[kept]],
        pairs.same[kept],
        pairs.people[usable],
        folds=None if pairs.folds is None else pairs.folds[kept],
        groups=None if pairs.groups is None else pairs.groups[kept],
    )


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, str]]:
    columns = reader.fieldnames or ()
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise PairsError(f"{path}: the first line must name the columns; {', '.join(missing)} is missing")
    for row in reader:
        label = (row["same"] or "").strip().lower()
        if label not in _TRUE | _FALSE or not row["image_a"] or not row["image_b"]:
            raise PairsError(f"{path}, line {reader.line_num}: needs two photos and 1 or 0 for same")
        kept = {name: (row.get(name) or "").strip() for name in (*_REQUIRED, *_OPTIONAL)}
        yield {**kept, "same": "1" if label in _TRUE else "0"}


def _labels(rows: Sequence[dict[str, str]], column: str) -> NDArray[np.str_] | None:
    values = np.array([row[column] for row in rows])
    return values if np.any(values != "") else None


def _people(
    photos: tuple[str, ...],
    rows: Sequence[dict[str, str]],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    same: NDArray[np.bool_],
    path: Path,
) -> NDArray[np.int64]:
    """The number of the person in each photo."""
    named = _named_people(photos, rows, first, second) if any(row["person_a"] for row in rows) else None
    for names in (named, [str(Path(photo).parent) for photo in photos]):
        if names is None:
            continue
        _, people = np.unique(np.array(names), return_inverse=True)
        if np.array_equal(people[first] == people[second], same):
            return np.asarray(people, dtype=np.int64)
        if names is named:
            raise PairsError(f"{path}: person_a and person_b contradict the column same")
    return _connected(len(photos), first[same], second[same])


def _named_people(
    photos: tuple[str, ...], rows: Sequence[dict[str, str]], first: NDArray[np.int64], second: NDArray[np.int64]
) -> list[str]:
    names = [""] * len(photos)
    for row, a, b in zip(rows, first, second, strict=True):
        names[a], names[b] = row["person_a"], row["person_b"]
    return names


def _connected(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """The connected component of each photo, where pairs of one person are edges (union-find)."""
    parents = list(range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        parents[root(a)] = root(b)
    _, people = np.unique([root(place) for place in range(count)], return_inverse=True)
    return np.asarray(people, dtype=np.int64)
