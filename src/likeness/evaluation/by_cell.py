"""A table of photos → the errors within each cell, in blocks of pairs, so that memory is bounded."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.differential import Differential, differential
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.error_counts import ErrorCounts
from likeness.evaluation.measure import SIMILARITIES, Mistake
from likeness.evaluation.photo_table import PhotoTable
from likeness.evaluation.rates import Scores
from likeness.evaluation.stored_counts import Arrays, StoredCounts, cell_key
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import Profile, Scorer

_Places = NDArray[np.int64]

#: The rows and columns of a block of pairs.
_BLOCK = 1000
#: How many of the worst pairs of each kind are kept.
_WORST = 24
#: Cells with fewer people, or genuine pairs, get no rate.
LEAST_PEOPLE, LEAST_GENUINE = 20, 30


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedScorer:
    """The scorer of a pack, and the curve that turns its scores into Similarities."""

    scorer: Scorer
    calibration: Calibration


@dataclass(frozen=True, slots=True, eq=False)
class CellEvaluation:
    """The errors within each cell at SIMILARITIES; `left_out` counts photos that are in no cell, by reason.

    `worst` holds the most similar pairs of different people, `missed` the least similar pairs of one person.
    """

    calibration: Calibration
    cells: dict[str, ErrorCounts]
    left_out: dict[str, int]
    failures: dict[str, str]
    worst: tuple[Mistake, ...]
    missed: tuple[Mistake, ...]

    def differentials(self) -> dict[float, Differential]:
        """The differences between the cells at each Similarity; empty with fewer than two cells."""
        if len(self.cells) < 2:
            return {}
        fmr = [[rate.value for rate in counts.false_match_rates()] for counts in self.cells.values()]
        fnmr = [
            [rate.value for rate in counts.false_non_match_rates()]
            for counts in self.cells.values()
            if counts.pairs[0] >= LEAST_GENUINE
        ]
        # (cells, levels, rounds): the people of each cell are resampled separately.
        drawn = np.stack([each.drawn_false_match_rates(seed) for seed, each in enumerate(self.cells.values())])
        return {
            level: differential([row[place] for row in fmr], [row[place] for row in fnmr], drawn[:, place])
            for place, level in enumerate(SIMILARITIES)
        }


class _Worst:
    """The most extreme pairs, each as (value, index, index); the least extreme is dropped first."""

    def __init__(self, kept: Iterable[tuple[float, int, int]] = ()) -> None:
        self.kept = heapq.nlargest(_WORST, kept)
        heapq.heapify(self.kept)

    def add(self, values: Scores, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        for place in np.argsort(-values, kind="stable")[:_WORST]:
            row = (float(values[place]), int(first[place]), int(second[place]))
            if len(self.kept) < _WORST:
                heapq.heappush(self.kept, row)
            else:
                heapq.heappushpop(self.kept, row)


class _Tally:
    """The counts of a cell of `people` persons, for the first `blocks` of its blocks of pairs."""

    def __init__(self, people: int, known: Arrays | None) -> None:
        self.counts = ErrorCounts(people, SIMILARITIES)
        self.worst, self.missed, self.blocks = _Worst(), _Worst(), 0
        if known is not None:
            self.counts.restore(known)
            self.worst, self.missed = _Worst(_rows(known["worst_pairs"])), _Worst(_rows(known["missed_pairs"]))
            self.blocks = int(known["blocks"])

    def add(self, similarities: Scores, people: NDArray[np.int64], first: _Places, second: _Places) -> None:
        """Counts a block: the Similarities (P,) of the faces `first` and `second` (P,) of the cell's `people` (N,)."""
        same = people[first] == people[second]
        self.counts.add(similarities, same, people[first], people[second])
        self.worst.add(similarities[~same], first[~same], second[~same])
        self.missed.add(-similarities[same], first[same], second[same])
        self.blocks += 1

    def arrays(self) -> Arrays:
        worst, missed = (np.array(each.kept, np.float64).reshape(-1, 3) for each in (self.worst, self.missed))
        return {**self.counts.arrays(), "worst_pairs": worst, "missed_pairs": missed, "blocks": np.array(self.blocks)}


def _rows(array: NDArray[np.float64]) -> Iterator[tuple[float, int, int]]:
    return ((value, int(first), int(second)) for value, first, second in array.tolist())


def blocks_of(sizes: Mapping[str, int]) -> int:
    """The number of blocks for cells with these numbers of photos: how often `advance` is called."""
    rows = [-(-size // _BLOCK) for size in sizes.values()]
    return sum(count * (count + 1) // 2 for count in rows)


def cells_to_compare(table: PhotoTable, embeddings: Embeddings, within: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """The usable photos of each cell that has enough people, by the cell's name."""
    cells = table.cells(within)
    places = {str(name): np.flatnonzero((cells == name) & embeddings.usable) for name in np.unique(cells) if name}
    return {name: inside for name, inside in places.items() if len(np.unique(table.people[inside])) >= LEAST_PEOPLE}


def evaluate_cells(
    scoring: CalibratedScorer,
    table: PhotoTable,
    embeddings: Embeddings,
    cells: Mapping[str, NDArray[np.intp]],
    *,
    kept: StoredCounts | None = None,
    advance: Callable[[], None] = lambda: None,
) -> CellEvaluation:
    """The errors of a pack's scoring within `cells` (see `cells_to_compare`), for all pairs of photos in a
    cell. `kept` stores counts between runs. ValueError if there is no cell.
    """
    if not cells:
        raise ValueError(f"no cell has {LEAST_PEOPLE} people or more with a usable photo")
    counted, worst, missed = {}, [], []
    for name, inside in cells.items():
        vectors, people = embeddings.vectors[inside], table.people[inside]
        tally = _counted(scoring, vectors, people, kept or StoredCounts(), advance)
        counted[name] = tally.counts
        worst += [(value, int(inside[a]), int(inside[b])) for value, a, b in tally.worst.kept]
        missed += [(value, int(inside[a]), int(inside[b])) for value, a, b in tally.missed.kept]
    compared = sum(len(inside) for inside in cells.values())
    return CellEvaluation(
        calibration=scoring.calibration,
        cells=counted,
        left_out={
            "without a usable face": len(embeddings.failures),
            "in no cell, or in one of too few people": len(table.photos) - len(embeddings.failures) - compared,
        },
        failures={table.photos[place]: reason for place, reason in sorted(embeddings.failures.items())},
        worst=_mistakes(worst, table.photos, 1.0),
        missed=_mistakes(missed, table.photos, -1.0),
    )


def _mistakes(pairs: Iterable[tuple[float, int, int]], photos: Sequence[str], sign: float) -> tuple[Mistake, ...]:
    return tuple(Mistake(photos[a], photos[b], sign * value) for value, a, b in heapq.nlargest(_WORST, pairs))


def _counted(
    scoring: CalibratedScorer,
    vectors: NDArray[np.float32],
    persons: NDArray[np.int64],
    kept: StoredCounts,
    advance: Callable[[], None],
) -> _Tally:
    """Counts the pairs of a cell's faces block by block, after the blocks that an earlier run has counted."""
    _, people = np.unique(persons, return_inverse=True)
    key = cell_key(f"{_BLOCK} {kept.of}", vectors, people)
    tally = _Tally(int(people.max()) + 1, kept.recall(key))
    for _ in range(tally.blocks):
        advance()
    blocks = blocks_of({"": len(vectors)})
    for first, second, scores in _blocks(scoring.scorer, vectors, tally.blocks):
        tally.add(scoring.calibration.similarity(scores), people, first, second)
        kept.remember(key, tally.arrays, finished=tally.blocks == blocks)
        advance()
    return tally


def _blocks(
    scorer: Scorer, vectors: NDArray[np.float32], start: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Scores]]:
    """All pairs of `vectors` (N, D) once, in blocks from number `start` on: the indices of both faces (P,), and the
    scores (P,).
    """
    starts = range(0, len(vectors), _BLOCK)
    blocks = [(row, column) for row in starts for column in range(row, len(vectors), _BLOCK)][start:]
    if not blocks:
        return
    faces = Profile.joined([scorer.profile(vectors[row : row + _BLOCK]) for row in starts])
    for row, column in blocks:
        rows, columns = faces[row : row + _BLOCK], faces[column : column + _BLOCK]
        scores = scorer.compare(rows, columns)
        if row == column:
            first, second = np.triu_indices(len(rows.directions), k=1)
        else:
            first, second = (each.ravel() for each in np.indices(scores.shape))
        yield first + row, second + column, scores[first, second]
