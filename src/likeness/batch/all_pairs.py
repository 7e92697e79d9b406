"""All pairs of photos of a folder or bucket: those at or above the threshold, the most similar for each photo.

A photo is represented by one face, its largest or central one. Photos are in blocks, each a blob of vectors; a block is
compared with itself and with later ones, so that two are in memory whatever the number of photos. A pair that may be
among the most similar of one of its photos is a candidate; candidates are ranked in a file.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

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

#: The photos in a block; those compared with another block at a time, to bound the memory if all pairs are similar; and
#: the pairs that are scored again at a time.
PHOTOS_A_BLOCK, _ROWS_AT_ONCE, _PAIRS_AT_ONCE = 2048, 256, 8192

#: An upper limit of the magnitude of scores.
_MOST_SCORE = 1e6

#: A candidate: the indices of its photos and their similarity, little-endian.
_CANDIDATE = np.dtype([("first", "<i8"), ("second", "<i8"), ("similarity", "<f4")])

_RANKED = """
SELECT first, second, similarity FROM (
    SELECT first, second, similarity, row_number() OVER (PARTITION BY photo ORDER BY similarity DESC, other) AS rank
    FROM (SELECT *, first AS photo, second AS other FROM pairs UNION ALL SELECT *, second, first FROM pairs)
) WHERE rank <= ? GROUP BY first, second ORDER BY first, similarity DESC, second
"""


class Block(msgspec.Struct, frozen=True):
    """The photos of a block: the vectors of usable ones, as rows of little-endian float32, with their indices in the
    list of photos; and the failures of the others, by index.
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
    """The block of photos whose indices begin with `start`."""
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
class SimilarPairs:
    """Pairs of photos (P,): indices `first` < `second` in the list of photos, and `similarity` (P,) float32."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "SimilarPairs":
        return SimilarPairs(self.first[rows], self.second[rows], self.similarity[rows])

    @staticmethod
    def joined(parts: Sequence["SimilarPairs"]) -> "SimilarPairs":
        """The concatenated pairs of all parts."""
        none = SimilarPairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        columns = zip(*((each.first, each.second, each.similarity) for each in (none, *parts)), strict=True)
        return SimilarPairs(*(np.concatenate(column) for column in columns))

    def most_similar(self, top: int) -> "SimilarPairs":
        """The pairs among the `top` most similar of one of their photos, ordered by first, then similarity."""
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
    """The faces of a block for exact scoring and in single precision, and their indices (U,)."""

    places: NDArray[np.int64]
    exact: Profile
    single: Profile


@dataclass(frozen=True, slots=True)
class AllPairs:
    """The search of blocks of photos in a storage for pairs at or above `threshold`, the `top` ones of each photo.

    All pairs are scored in single precision, by matrix products on all processors, and those that may reach the
    threshold again as in any other comparison.
    """

    comparer: Comparer
    blocks: "Blocks"
    threshold: float
    top: int

    def candidates(self, number: int) -> Iterator[SimilarPairs]:
        """The candidates of one block with itself and with later ones, block by block."""
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
                yield self._exactly(rows, columns, first[ahead], second[ahead]).most_similar(self.top)

    def _profiles(self, number: int) -> _Profiles | None:
        """None if no photo of the block can be used."""
        block = self.blocks.read(number)
        if not block.places:
            return None
        exact = self.comparer.scorer.profile(block.matrix)
        return _Profiles(np.array(block.places, np.int64), exact, exact.in_single_precision())

    def _exactly(
        self, rows: _Profiles, columns: _Profiles, first: NDArray[np.intp], second: NDArray[np.intp]
    ) -> SimilarPairs:
        """The pairs among these (P,) of rows and columns that reach the threshold."""
        parts = []
        for start in range(0, len(first), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            scores = self.comparer.scorer.score_some(rows.exact, columns.exact, first[some], second[some])
            values = self.comparer.calibration.similarity(scores).astype(np.float32)
            part = SimilarPairs(rows.places[first[some]], columns.places[second[some]], values)
            parts.append(part[values >= self.threshold])
        return SimilarPairs.joined(parts)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of `photos` photos and their candidates, in a storage; `marks` are written into each record."""

    storage: Storage
    photos: int
    marks: Mapping[str, bool] = field(default_factory=dict)

    def __len__(self) -> int:
        return -(-self.photos // PHOTOS_A_BLOCK)

    def missing(self, folder: str) -> list[int]:
        """The numbers of the blocks that are missing in a folder: "vectors" or "candidates"."""
        there = self.storage.names(folder)
        return [number for number in range(len(self)) if _name(number) not in there]

    def pairs(self, number: int) -> int:
        """The number of pairs of a block's photos with each other and with later ones."""
        start = number * PHOTOS_A_BLOCK
        count = min(PHOTOS_A_BLOCK, self.photos - start)
        return count * (count - 1) // 2 + count * (self.photos - start - count)

    def write(self, number: int, block: Block) -> None:
        """Stores a block."""
        self.storage.write(f"vectors/{_name(number)}", [msgspec.msgpack.encode(block)])

    def read(self, number: int) -> Block:
        """A stored block. Raises BatchError if it is damaged."""
        name = f"vectors/{_name(number)}"
        try:
            block = msgspec.msgpack.decode(self.storage.read(name), type=Block)
            _ = block.matrix
        except (msgspec.DecodeError, ValueError) as error:
            raise _damaged(name, error) from error
        return block

    def write_candidates(self, number: int, found: Iterable[SimilarPairs]) -> None:
        """Stores the candidates of a block as a stream."""
        self.storage.write(f"candidates/{_name(number)}", map(_packed, found))

    def most_similar(self, top: int) -> Iterator[tuple[int, int, float]]:
        """The candidates among the `top` most similar of one of their photos, as (first, second, similarity), ordered
        by first, then similarity. Raises BatchError.
        """
        # SQLite sorts in a temporary file, so that memory is constant.
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            try:
                database.execute("CREATE TABLE pairs (first INTEGER, second INTEGER, similarity REAL)")
                database.execute("BEGIN")
                for number in range(len(self)):
                    found = self._candidates(number)
                    database.executemany("INSERT INTO pairs VALUES (?, ?, ?)", map(np.void.item, found))
                yield from database.execute(_RANKED, (top,))
            except sqlite3.Error as error:
                raise BatchError(f"pairs cannot be ranked: {error}; set TMPDIR to a folder with free space") from error

    def _candidates(self, number: int) -> NDArray[np.void]:
        name = f"candidates/{_name(number)}"
        try:
            return np.frombuffer(self.storage.read(name), _CANDIDATE)
        except ValueError as error:
            raise _damaged(name, error) from error

    def failures(self) -> Iterator[tuple[int, Failure]]:
        """The indices of the photos that cannot be used, in order, with their failures."""
        for number in range(len(self)):
            yield from sorted(self.read(number).failures.items())

    def records(self, top: int, name: Callable[[int], str]) -> Iterator[Record]:
        """A record for each photo that cannot be used, then one per pair; `name` maps an index to a reference."""
        marked = dict(self.marks)
        nothing: Record = {"similarity": None, "matched": None, "matches": None, "unmatched": None}
        for place, failure in self.failures():
            reason = failure.reason_for(f"photo ({name(place)})")
            yield {"source": name(place), "target": None, **nothing, "error": failure.code, "reason": reason} | marked
        for first, second, similarity in self.most_similar(top):
            compared: Record = {"similarity": similarity, "matched": True, "matches": 1, "unmatched": 0}
            yield {"source": name(first), "target": name(second), **compared, "error": None, "reason": None} | marked


def lowest_score(calibration: Calibration, similarity: float) -> float:
    """A score below which all Similarities are below `similarity`, by bisection; -inf if there is none."""
    low, high = -_MOST_SCORE, _MOST_SCORE
    if float(calibration.similarity(low)) >= similarity:
        return -np.inf
    for _ in range(64):
        middle = (low + high) / 2
        reached = float(calibration.similarity(middle)) >= similarity
        low, high = (low, middle) if reached else (middle, high)
    return low


def _packed(pairs: SimilarPairs) -> bytes:
    packed = np.empty(len(pairs.first), _CANDIDATE)
    packed["first"], packed["second"], packed["similarity"] = pairs.first, pairs.second, pairs.similarity
    return packed.tobytes()


def _damaged(name: str, error: Exception) -> BatchError:
    return BatchError(f"{name} in the folder of the run is damaged ({error}); remove it and run again")


def _name(number: int) -> str:
    return f"{number:08}"
