"""Every two photos of a place: the pairs at or above the threshold, of each photo the most alike; never the square.

A photo is there with one face, its largest or central one. Photos are in blocks, each a blob of vectors; a block is
compared with itself and with those behind it, two of them in memory, whatever the number of photos. What may be among
the most alike of one of its two photos is a candidate; candidates are ranked in a file.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.batch.described import DescribedPhoto, Faces, Failure
from likeness.batch.errors import BatchError
from likeness.batch.records import Record
from likeness.batch.storage import Storage
from likeness.comparer import Comparer
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import SINGLE_PRECISION_ERROR, Profile

#: Photos in a block, those of a block that are compared with another one at a time, which bounds the memory where every
#: pair is alike, and pairs that are scored again at a time.
PHOTOS_A_BLOCK, _ROWS_AT_ONCE, _PAIRS_AT_ONCE = 2048, 256, 8192

#: No score of a calibration curve is further from 0.
_MOST_SCORE = 1e6

#: One side of a candidate: places and similarity as bytes, little-endian.
_CANDIDATE = np.dtype([("first", "<i8"), ("second", "<i8"), ("similarity", "<f4")])

_RANKED = """
SELECT first, second, similarity FROM (
    SELECT first, second, similarity, row_number() OVER (PARTITION BY photo ORDER BY similarity DESC, other) AS rank
    FROM (SELECT *, first AS photo, second AS other FROM pairs UNION ALL SELECT *, second, first FROM pairs)
) WHERE rank <= ? GROUP BY first, second ORDER BY first, similarity DESC, second
"""


class Block(msgspec.Struct, frozen=True):
    """Photos of a block: the vectors of those that can be used, float32 row by row, little-endian, with their places in
    the list of photos; and why the others cannot be used, by their places.
    """

    places: list[int]
    vectors: bytes
    failures: dict[int, Failure]

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The vectors (U, D)."""
        flat = np.frombuffer(self.vectors, "<f4")
        return flat.reshape(len(self.places), -1) if self.places else flat.reshape(0, 0)


def block_of(start: int, photos: Iterable[DescribedPhoto]) -> Block:
    """The block of photos whose places begin with `start`."""
    places: list[int] = []
    rows: list[bytes] = []
    failures: dict[int, Failure] = {}
    for place, photo in enumerate(photos, start):
        if isinstance(photo.source, Faces):
            places.append(place)
            rows.append(photo.source.vectors)
        elif isinstance(photo.source, Failure):
            failures[place] = photo.source
    return Block(places, b"".join(rows), failures)


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Pairs of photos (P,): places `first` < `second` in the list of photos, and their `similarity` (P,) float32."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Alike":
        return Alike(self.first[rows], self.second[rows], self.similarity[rows])

    @staticmethod
    def joined(parts: Sequence["Alike"]) -> "Alike":
        """The pairs of all parts."""
        none = Alike(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        columns = zip(*((each.first, each.second, each.similarity) for each in (none, *parts)), strict=True)
        return Alike(*(np.concatenate(column) for column in columns))

    def most_alike(self, top: int) -> "Alike":
        """Those that are among the `top` most similar of one of their photos, in order of first, then similarity."""
        sides, others = np.r_[self.first, self.second], np.r_[self.second, self.first]
        order = np.lexsort((others, -np.r_[self.similarity, self.similarity], sides))
        _, starts, counts = np.unique(sides[order], return_index=True, return_counts=True)
        ranks = np.arange(len(order)) - np.repeat(starts, counts)
        kept = np.zeros(len(self.first), np.bool_)
        kept[order[ranks < top] % max(len(kept), 1)] = True
        chosen = self[kept]
        return chosen[np.lexsort((chosen.second, -chosen.similarity, chosen.first))]


@dataclass(frozen=True, slots=True, eq=False)
class _Profiles:
    """Faces of a block as they are scored exactly and in single precision, and their places (U,)."""

    places: NDArray[np.int64]
    exact: Profile
    single: Profile


@dataclass(frozen=True, slots=True)
class AllPairs:
    """The search of `photos` photos in blocks of a storage, for pairs from `threshold` on, `top` of each photo.

    All pairs are scored in single precision, by products that use all processors, and those that may reach the
    threshold once more as any other comparison is.
    """

    comparer: Comparer
    blocks: "Blocks"
    threshold: float
    top: int

    def candidates(self, number: int) -> Iterator[Alike]:
        """The candidates of the photos of one block with those behind them, a block of these after the other."""
        rows = self._profiles(number)
        if rows is None:
            return
        lowest = lowest_score(self.comparer.calibration, self.threshold) - SINGLE_PRECISION_ERROR
        for other in range(number, len(self.blocks)):
            columns = rows if other == number else self._profiles(other)
            if columns is None:
                continue
            for start in range(0, len(rows.places), _ROWS_AT_ONCE):
                some = rows.single[start : start + _ROWS_AT_ONCE]
                first, second = np.nonzero(self.comparer.scorer.compare(some, columns.single) >= lowest)
                first += start
                ahead = columns.places[second] > rows.places[first]
                yield self._exactly(rows, columns, first[ahead], second[ahead]).most_alike(self.top)

    def _profiles(self, number: int) -> _Profiles | None:
        """None where no photo of the block can be used."""
        block = self.blocks.read(number)
        if not block.places:
            return None
        exact = self.comparer.scorer.profile(block.matrix)
        return _Profiles(np.array(block.places, np.int64), exact, exact.in_single_precision())

    def _exactly(self, rows: _Profiles, columns: _Profiles, first: NDArray[np.intp], second: NDArray[np.intp]) -> Alike:
        """Those of the pairs (P,) of rows and columns that reach the threshold."""
        parts = []
        for start in range(0, len(first), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            scores = self.comparer.scorer.score_some(rows.exact, columns.exact, first[some], second[some])
            values = self.comparer.calibration.similarity(scores).astype(np.float32)
            part = Alike(rows.places[first[some]], columns.places[second[some]], values)
            parts.append(part[values >= self.threshold])
        return Alike.joined(parts)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of `photos` photos, and the candidates of each, in a storage."""

    storage: Storage
    photos: int

    def __len__(self) -> int:
        return -(-self.photos // PHOTOS_A_BLOCK)

    def missing(self, folder: str) -> list[int]:
        """Numbers of the blocks for which there is nothing in a folder: "vectors" or "alike"."""
        there = self.storage.names(folder)
        return [number for number in range(len(self)) if _name(number) not in there]

    def pairs(self, number: int) -> int:
        """How many pairs the photos of a block make with each other and with those behind them."""
        start = number * PHOTOS_A_BLOCK
        count = min(PHOTOS_A_BLOCK, self.photos - start)
        return count * (count - 1) // 2 + count * (self.photos - start - count)

    def write(self, number: int, block: Block) -> None:
        """Keeps a block."""
        self.storage.write(f"vectors/{_name(number)}", [msgspec.msgpack.encode(block)])

    def read(self, number: int) -> Block:
        """A block that was kept."""
        return msgspec.msgpack.decode(self.storage.read(f"vectors/{_name(number)}"), type=Block)

    def write_candidates(self, number: int, found: Iterable[Alike]) -> None:
        """Keeps the candidates of a block, as they come."""
        self.storage.write(f"alike/{_name(number)}", map(_packed, found))

    def most_alike(self, top: int) -> Iterator[tuple[int, int, float]]:
        """Of all candidates those that are among the `top` most similar of one of their photos: first, second,
        similarity, in this order. Raises BatchError.
        """
        # SQLite sorts in a file of its own, so that memory does not grow with the photos.
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            try:
                database.execute("CREATE TABLE pairs (first INTEGER, second INTEGER, similarity REAL)")
                database.execute("BEGIN")
                for number in range(len(self)):
                    found = np.frombuffer(self.storage.read(f"alike/{_name(number)}"), _CANDIDATE)
                    database.executemany("INSERT INTO pairs VALUES (?, ?, ?)", map(np.void.item, found))
                yield from database.execute(_RANKED, (top,))
            except sqlite3.Error as error:
                raise BatchError(f"pairs cannot be ranked: {error}; set TMPDIR to a folder with room") from error

    def failures(self) -> Iterator[tuple[int, Failure]]:
        """The places of the photos that cannot be used, in order, and why."""
        for number in range(len(self)):
            yield from sorted(self.read(number).failures.items())

    def records(self, top: int, name: Callable[[int], str]) -> Iterator[Record]:
        """A record for each photo that cannot be used, then one for each pair; `name` has the reference of a place."""
        nothing: Record = {"similarity": None, "matched": None, "matches": None, "unmatched": None}
        for place, failure in self.failures():
            reason = failure.reason_for(f"photo ({name(place)})")
            yield {"source": name(place), "target": None, **nothing, "error": failure.code, "reason": reason}
        for first, second, similarity in self.most_alike(top):
            compared: Record = {"similarity": similarity, "matched": True, "matches": 1, "unmatched": 0}
            yield {"source": name(first), "target": name(second), **compared, "error": None, "reason": None}


def lowest_score(calibration: Calibration, similarity: float) -> float:
    """A score below which no Similarity is as high as `similarity`, by halving; -inf where there is none."""
    low, high = -_MOST_SCORE, _MOST_SCORE
    if float(calibration.similarity(low)) >= similarity:
        return -np.inf
    for _ in range(64):
        middle = (low + high) / 2
        reached = float(calibration.similarity(middle)) >= similarity
        low, high = (low, middle) if reached else (middle, high)
    return low


def _packed(pairs: Alike) -> bytes:
    packed = np.empty(len(pairs.first), _CANDIDATE)
    packed["first"], packed["second"], packed["similarity"] = pairs.first, pairs.second, pairs.similarity
    return packed.tobytes()


def _name(number: int) -> str:
    return f"{number:08}"
