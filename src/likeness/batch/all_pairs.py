"""Every two photos of a folder: the pairs at or above the threshold, of each photo the most alike; never the square.

A photo is there with one face, its largest or central one. Shards are blocks of photos, compared with those behind
them; each holds the candidates that may be among the most alike of one of their two photos.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.batch.described import DescribedPhoto, Faces, Failure
from likeness.batch.records import Record
from likeness.comparer import Comparer
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import SINGLE_PRECISION_ERROR, Profile
from likeness.whole_file import write_whole

#: Photos in a shard, those that they are compared with at a time, and pairs that are scored again at a time.
PHOTOS_A_SHARD, _AT_ONCE, _PAIRS_AT_ONCE = 2048, 2048, 8192

#: No score of a calibration curve is further from 0.
_MOST_SCORE = 1e6


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
    """Faces as they are scored exactly, and in single precision."""

    exact: Profile
    single: Profile


@dataclass(frozen=True, slots=True)
class AllPairs:
    """The search of a folder in which photos of `vectors` (N, D) have places `places` (N,) in the list of photos.

    All pairs are scored in single precision, by products that use all processors, and those that may reach the
    threshold once more as any other comparison is.
    """

    comparer: Comparer
    vectors: NDArray[np.float32]
    places: NDArray[np.int64]
    threshold: float
    top: int

    def shard(self, number: int) -> Alike:
        """The candidates of the photos of one shard with those behind them."""
        start = number * PHOTOS_A_SHARD
        rows = self._profiles(start, PHOTOS_A_SHARD)
        lowest = lowest_score(self.comparer.calibration, self.threshold) - SINGLE_PRECISION_ERROR
        found = Alike.joined([])
        for begin in range(start, len(self.vectors), _AT_ONCE):
            columns = self._profiles(begin, _AT_ONCE)
            scores = self.comparer.scorer.compare(rows.single, columns.single)
            first, second = np.nonzero(scores >= lowest)
            ahead = begin + second > start + first
            block = self._exactly(rows.exact, columns.exact, first[ahead], second[ahead])
            block = Alike(self.places[start + block.first], self.places[begin + block.second], block.similarity)
            found = Alike.joined([found, block]).most_alike(self.top)
        return found

    def _profiles(self, begin: int, count: int) -> "_Profiles":
        exact = self.comparer.scorer.profile(self.vectors[begin : begin + count])
        return _Profiles(exact, exact.in_single_precision())

    def _exactly(self, rows: Profile, columns: Profile, first: NDArray[np.intp], second: NDArray[np.intp]) -> Alike:
        """Those of the pairs (P,) of rows and columns that reach the threshold."""
        parts = []
        for start in range(0, len(first), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            scores = self.comparer.scorer.score_some(rows, columns, first[some], second[some])
            values = self.comparer.calibration.similarity(scores).astype(np.float32)
            part = Alike(first[some], second[some], values)
            parts.append(part[values >= self.threshold])
        return Alike.joined(parts)

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-len(self.vectors) // PHOTOS_A_SHARD)


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


def write_shard(path: Path, pairs: Alike) -> None:
    """Writes a shard, whole or not at all."""
    columns = [pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist()]
    write_whole(path, msgspec.json.encode(columns))


def read_shards(paths: Sequence[Path]) -> Iterator[Alike]:
    """What `write_shard` wrote."""
    for path in paths:
        first, second, similarity = msgspec.json.decode(path.read_bytes())
        yield Alike(np.array(first, np.int64), np.array(second, np.int64), np.array(similarity, np.float32))


def one_face(photos: Mapping[str, DescribedPhoto]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The vectors (U, D) of the photos that can be used, and which they are (N,)."""
    sides = [photo.source for photo in photos.values()]
    usable = np.array([isinstance(side, Faces) for side in sides], np.bool_)
    rows = [side.matrix for side in sides if isinstance(side, Faces)]
    return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32), usable


def records(photos: Sequence[str], failures: Mapping[int, Failure], pairs: Alike) -> Iterator[Record]:
    """A record for each photo that cannot be used, then one for each pair."""
    nothing: Record = {"similarity": None, "matched": None, "matches": None, "unmatched": None}
    for place, failure in sorted(failures.items()):
        reason = failure.reason_for(f"photo ({photos[place]})")
        yield {"source": photos[place], "target": None, **nothing, "error": failure.code, "reason": reason}
    for first, second, similarity in zip(
        pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist(), strict=True
    ):
        compared: Record = {"similarity": similarity, "matched": True, "matches": 1, "unmatched": 0}
        yield {"source": photos[first], "target": photos[second], **compared, "error": None, "reason": None}
