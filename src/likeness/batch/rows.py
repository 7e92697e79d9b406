"""Pairs of photos from tables, folders and buckets, as streams that can be read repeatedly."""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from likeness.batch.columns import check_columns
from likeness.batch.errors import BatchError, unreadable
from likeness.batch.listing import Listing
from likeness.batch.photos import reference_of
from likeness.system.bounded_file import check_regular


@dataclass(frozen=True, slots=True)
class Row:
    """One pair: the references of both photos, and all given columns, including source and target."""

    source: str
    target: str
    given: Mapping[str, Any]


class Rows(Protocol):
    """The pairs of a batch, always in the same order."""

    def __iter__(self) -> Iterator[Row]:
        """All pairs. Raises BatchError for an invalid row."""
        ...

    @property
    def fingerprint(self) -> str:
        """A value that changes with the pairs."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The names in `Row.given`, as far as they are known before reading."""
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
        """All rows; with `check`, as input, which must not have columns that the batch writes. Raises BatchError."""
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
            raise BatchError(f"{self.path} cannot be read: {unreadable(error)}") from error

    def _csv(self, check: bool) -> Iterator[dict[str, Any]]:
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if check:
                self._check(reader.fieldnames or ())
            for row in reader:
                if None in row or None in row.values():
                    raise BatchError(f"{self.path}, line {reader.line_num}: more or fewer cells than columns")
                yield row

    def _jsonl(self, check: bool) -> Iterator[dict[str, Any]]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    record = decode(line)
                except (msgspec.DecodeError, RecursionError) as error:
                    raise BatchError(f"{self.path}, line {number}: {error}") from error
                if check:
                    self._check(list(record))
                yield record

    def _check(self, columns: Sequence[str]) -> None:
        check_columns(self.path, columns, (self.source_column, self.target_column))


@dataclass(frozen=True, slots=True)
class FolderRows:
    """Each source photo with each target photo, or with those of the same name (see `Listing`)."""

    sources: Listing
    targets: Listing
    match_names: bool = False

    def __iter__(self) -> Iterator[Row]:
        for source, name in self.sources.with_names():
            for target in self.targets.named(name) if self.match_names else self.targets:
                yield Row(source, target, {"source": source, "target": target})

    @property
    def fingerprint(self) -> str:
        matched = "same name" if self.match_names else "all"
        return f"{self.sources.fingerprint} {self.targets.fingerprint} {matched}"

    @property
    def columns(self) -> Sequence[str]:
        return ["source", "target"]


@dataclass(frozen=True, slots=True)
class AllPairsInput:
    """All pairs of photos of a place, of which the `top` most similar of each photo are wanted."""

    photos: Listing
    top: int = 10

    @property
    def fingerprint(self) -> str:
        return f"{self.photos.fingerprint} top {self.top}"

    @property
    def columns(self) -> Sequence[str]:
        return ["source", "target"]


def _hash_of(path: Path) -> str:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror}") from error
