"""Pieces of the output: each whole or absent, so a run resumes at the first missing one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from likeness.batch.outputs import decode_lines
from likeness.batch.rows import Row, Rows
from likeness.whole_file import whole


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of a run in `folder`, `rows` pairs each."""

    folder: Path
    rows: int

    def path(self, number: int) -> Path:
        """Where a shard is."""
        return self.folder / shard_name(number)

    def missing(self, pairs: Rows) -> Iterator[tuple[int, Sequence[Row]]]:
        """The shards that are not written yet, with their pairs."""
        for number, rows in enumerate(in_batches(pairs, self.rows)):
            if not self.path(number).exists():
                yield number, rows

    def written(self, pairs: int) -> int:
        """How many of so many pairs are in shards that are there."""
        return sum(
            min(self.rows, pairs - start)
            for number, start in enumerate(range(0, pairs, self.rows))
            if self.path(number).exists()
        )

    def writing(self, number: int) -> AbstractContextManager[IO[bytes]]:
        """A file to write a shard to, which is there whole or not at all."""
        return whole(self.path(number))

    def all(self) -> list[Path]:
        """The shards that are there, in order."""
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def drop_failed(self) -> None:
        """Shards in which a pair could not be compared go."""
        for path in self.all():
            with path.open("rb") as file:
                failed = any(record["error"] is not None for record in decode_lines(file))
            if failed:
                path.unlink()


def shard_name(number: int) -> str:
    """The name of a shard's file."""
    return f"{number:08}.jsonl"


def in_batches(pairs: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Pairs, so many at a time."""
    rest = iter(pairs)
    while batch := list(islice(rest, size)):
        yield batch
