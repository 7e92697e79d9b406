"""Shards of the output: each is complete or absent, so that a run resumes at the missing ones."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from likeness.batch.errors import BatchError
from likeness.batch.outputs import read_shard
from likeness.batch.rows import Row, Rows
from likeness.system.atomic_file import atomic_file


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of a run in `folder`, with `rows` pairs each."""

    folder: Path
    rows: int

    def path(self, number: int) -> Path:
        """The path of a shard."""
        return self.folder / shard_name(number)

    def missing(self, pairs: Rows) -> Iterator[tuple[int, Sequence[Row]]]:
        """The numbers and pairs of the shards that are not written yet."""
        for number, rows in enumerate(in_batches(pairs, self.rows)):
            if not self.path(number).exists():
                yield number, rows

    def written(self, pairs: int) -> int:
        """The number of `pairs` that are in existing shards."""
        return sum(
            min(self.rows, pairs - start)
            for number, start in enumerate(range(0, pairs, self.rows))
            if self.path(number).exists()
        )

    def writing(self, number: int) -> AbstractContextManager[IO[bytes]]:
        """A file for writing a shard atomically."""
        return atomic_file(self.path(number))

    def all(self) -> list[Path]:
        """The existing shards, in order."""
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def drop_failed(self) -> None:
        """Removes shards with a pair that could not be compared, and those that are damaged."""
        for path in self.all():
            try:
                failed = any(record["error"] is not None for record in read_shard(path))
            except BatchError:
                failed = True
            if failed:
                path.unlink()


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"{number:08}.jsonl"


def in_batches(pairs: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The pairs in lists of `size`."""
    rest = iter(pairs)
    while batch := list(islice(rest, size)):
        yield batch
