"""Pairs of photos from tables and folders, as a stream that can be read again: nothing of it is held."""

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, Protocol

import msgspec

from likeness.batch.columns import check_columns
from likeness.batch.errors import BatchError
from likeness.batch.photos import reference_of
from likeness.bounded_file import check_regular

#: Files of a folder that are photos.
SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Row:
    """One pair: references of both photos, and what was given in all columns, source and target among them."""

    source: str
    target: str
    given: Mapping[str, Any]


class Rows(Protocol):
    """The pairs of a batch, in order, each time the same."""

    def __iter__(self) -> Iterator[Row]:
        """All pairs. Raises BatchError where there is something else in the table."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes where the pairs do."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The names in `Row.given`, as far as they are known before it is read."""
        ...


@dataclass(frozen=True, slots=True)
class TableRows:
    """The pairs of a CSV, JSONL or Parquet file."""

    path: Path
    source_column: str = "source"
    target_column: str = "target"

    def __iter__(self) -> Iterator[Row]:
        for number, record in enumerate(self.records(check=True), 1):
            try:
                source, target = (reference_of(record.get(name)) for name in (self.source_column, self.target_column))
            except ValueError as error:
                raise BatchError(f"{self.path}, row {number}: {error}") from error
            yield Row(source, target, record)

    @property
    def fingerprint(self) -> str:
        return _hash_of(self.path)

    @property
    def columns(self) -> Sequence[str]:
        first = next(self.records(check=True), None)
        return [self.source_column, self.target_column] if first is None else list(first)

    def records(self, *, check: bool = False) -> Iterator[dict[str, Any]]:
        """All rows as they are; with `check` as input, which may not hold columns that the batch writes."""
        try:
            check_regular(self.path)
            match self.path.suffix.lower():
                case ".csv":
                    yield from self._csv(check)
                case ".jsonl" | ".ndjson":
                    yield from self._jsonl(check)
                case ".parquet":
                    from likeness.batch.parquet import read_rows

                    yield from read_rows(self.path, self._check if check else None)
                case other:
                    raise BatchError(f"{self.path}: {other or 'no suffix'}; pairs are .csv, .jsonl or .parquet")
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BatchError(f"{self.path} cannot be read: {error}") from error

    def _csv(self, check: bool) -> Iterator[dict[str, Any]]:
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if check:
                self._check(reader.fieldnames or ())
            for row in reader:
                if None in row or None in row.values():
                    raise BatchError(f"{self.path}, line {reader.line_num}: not as many cells as there are columns")
                yield row

    def _jsonl(self, check: bool) -> Iterator[dict[str, Any]]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    record = decode(line)
                except (msgspec.DecodeError, msgspec.ValidationError) as error:
                    raise BatchError(f"{self.path}, line {number}: {error}") from error
                if check:
                    self._check(list(record))
                yield record

    def _check(self, columns: Sequence[str]) -> None:
        check_columns(self.path, columns, (self.source_column, self.target_column))


@dataclass(frozen=True, slots=True)
class FolderRows:
    """Each source photo with each target photo, or with those of the same name.

    The name of a photo is the first part of its path below the folder, without suffix: anna.jpg goes with anna.png and
    with anna/1.jpg and anna/2.jpg.
    """

    sources: Path
    targets: Path
    match_names: bool = False

    def __iter__(self) -> Iterator[Row]:
        sources, targets = _listed(self.sources), _listed(self.targets)
        if not self.match_names:
            pairs: Iterator[tuple[Path, Path]] = product(sources, targets)
        else:
            by_name: dict[str, list[Path]] = {}
            for target in targets:
                by_name.setdefault(_name(target, self.targets), []).append(target)
            pairs = ((source, target) for source in sources for target in by_name.get(_name(source, self.sources), ()))
        for source, target in pairs:
            yield _row(source, target)

    @property
    def fingerprint(self) -> str:
        listings = [fingerprint_of_folder(self.sources), fingerprint_of_folder(self.targets)]
        return f"{listings[0]} {listings[1]} {'same name' if self.match_names else 'all'}"

    @property
    def columns(self) -> Sequence[str]:
        return ["source", "target"]


@dataclass(frozen=True, slots=True)
class EveryTwo:
    """Every two photos of a folder, once; of each photo the `top` most alike are asked for."""

    folder: Path
    top: int = 10

    def __iter__(self) -> Iterator[Row]:
        for first, second in combinations(_listed(self.folder), 2):
            yield _row(first, second)

    @property
    def photos(self) -> list[str]:
        """References of all photos, in order."""
        return [str(path) for path in _listed(self.folder)]

    @property
    def fingerprint(self) -> str:
        return f"{fingerprint_of_folder(self.folder)} top {self.top}"

    @property
    def columns(self) -> Sequence[str]:
        return ["source", "target"]


def fingerprint_of_folder(folder: Path) -> str:
    """Changes where the photos of a folder do: names, sizes and times of change. Also for a single photo."""
    found = hashlib.sha256()
    for path in _listed(folder):
        status = path.stat() if path.exists() else path.lstat()  # a broken link is a photo that cannot be read
        found.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def _listed(place: Path) -> list[Path]:
    """The photos below a folder, or the one photo, sorted by their path."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise BatchError(f"{place} is neither a folder nor a photo")
    walk = os.walk(place, onerror=_unreadable)
    found = [Path(folder, name) for folder, _, names in walk for name in names if name.lower().endswith(SUFFIXES)]
    if not found:
        raise BatchError(f"{place} holds no photos ({', '.join(SUFFIXES)})")
    for path in found:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise BatchError(f"{str(path)!a}: the name is not UTF-8, and no output could hold it; rename it") from error
    return sorted(found, key=lambda path: path.parts)


def _unreadable(error: OSError) -> NoReturn:
    raise BatchError(f"{error.filename} cannot be read: {error.strerror}") from error


def _name(path: Path, folder: Path) -> str:
    inner = path.name if path == folder else path.relative_to(folder).parts[0]
    return PurePosixPath(inner).stem if inner == path.name else inner


def _row(source: Path, target: Path) -> Row:
    return Row(str(source), str(target), {"source": str(source), "target": str(target)})


def _hash_of(path: Path) -> str:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror}") from error
