"""A table of photos → the errors within each cell, compared block by block, so that memory is bounded."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.differential import Differential, differential
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.error_counts import ErrorCounts
from likeness.evaluation.measure import SIMILARITIES, Mistake
from likeness.evaluation.photo_table import PhotoTable
from likeness.evaluation.rates import Scores
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import Profile, Scorer

#: Faces of a block of pairs, as rows and as columns.
_BLOCK = 1000
#: How many of the worst pairs of either kind are kept.
_WORST = 24
#: A cell of fewer people, or genuine pairs, gets no rate.
LEAST_PEOPLE, LEAST_GENUINE = 20, 30


@dataclass(frozen=True, slots=True, eq=False)
class CellEvaluation:
    """The errors within each cell at SIMILARITIES; `left_out` says of how many photos why they are in none.

    `worst` holds the pairs of different people that are most alike, `missed` those of one person that are least alike.
    """

    calibration: Calibration
    cells: dict[str, ErrorCounts]
    left_out: dict[str, int]
    failures: dict[str, str]
    worst: tuple[Mistake, ...]
    missed: tuple[Mistake, ...]

    def differentials(self) -> dict[float, Differential]:
        """How unequal the cells' errors are at each Similarity; empty with fewer than two cells."""
        if len(self.cells) < 2:
            return {}
        fmr = [[rate.value for rate in counts.false_match_rates()] for counts in self.cells.values()]
        fnmr = [
            [rate.value for rate in counts.false_non_match_rates()]
            for counts in self.cells.values()
            if counts.pairs[0] >= LEAST_GENUINE
        ]
        return {
            level: differential([row[place] for row in fmr], [row[place] for row in fnmr])
            for place, level in enumerate(SIMILARITIES)
        }


@dataclass(slots=True)
class _Worst:
    """The most extreme pairs; the least extreme is dropped first."""

    kept: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, values: Scores, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        for place in np.argsort(-values, kind="stable")[:_WORST]:
            row = (float(values[place]), int(first[place]), int(second[place]))
            if len(self.kept) < _WORST:
                heapq.heappush(self.kept, row)
            else:
                heapq.heappushpop(self.kept, row)

    def pairs(self, photos: Sequence[str], sign: float) -> tuple[Mistake, ...]:
        return tuple(Mistake(photos[a], photos[b], sign * value) for value, a, b in sorted(self.kept, reverse=True))


def blocks_of(sizes: Mapping[str, int]) -> int:
    """How many blocks the cells of so many photos are compared in: what `advance` is called for."""
    rows = [-(-size // _BLOCK) for size in sizes.values()]
    return sum(count * (count + 1) // 2 for count in rows)


def cells_to_compare(table: PhotoTable, embeddings: Embeddings, within: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """The usable photos of each cell that has enough people, by its name."""
    cells = table.cells(within)
    places = {str(name): np.flatnonzero((cells == name) & embeddings.usable) for name in np.unique(cells) if name}
    return {name: inside for name, inside in places.items() if len(np.unique(table.people[inside])) >= LEAST_PEOPLE}


def evaluate_cells(
    engine: tuple[Scorer, Calibration],
    table: PhotoTable,
    embeddings: Embeddings,
    cells: Mapping[str, NDArray[np.intp]],
    *,
    advance: Callable[[], None] = lambda: None,
) -> CellEvaluation:
    """The errors of a pack's scorer and curve within `cells`, as `cells_to_compare` gives them: every photo with every
    other of its cell. ValueError where there is no cell.
    """
    if not cells:
        raise ValueError(f"no cell has {LEAST_PEOPLE} people or more with a usable photo")
    scorer, calibration = engine
    worst, missed = _Worst(), _Worst()
    counted = {}
    for name, inside in cells.items():
        _, people = np.unique(table.people[inside], return_inverse=True)
        counts = ErrorCounts(int(people.max()) + 1, SIMILARITIES)
        for first, second, scores in _blocks(scorer, embeddings.vectors[inside]):
            similarities = calibration.similarity(scores)
            same = people[first] == people[second]
            counts.add(similarities, same, people[first], people[second])
            worst.add(similarities[~same], inside[first[~same]], inside[second[~same]])
            missed.add(-similarities[same], inside[first[same]], inside[second[same]])
            advance()
        counted[name] = counts
    compared = sum(len(inside) for inside in cells.values())
    return CellEvaluation(
        calibration=calibration,
        cells=counted,
        left_out={
            "without a usable face": len(embeddings.failures),
            "in no cell, or in one of too few people": len(table.photos) - len(embeddings.failures) - compared,
        },
        failures={table.photos[place]: reason for place, reason in sorted(embeddings.failures.items())},
        worst=worst.pairs(table.photos, 1.0),
        missed=missed.pairs(table.photos, -1.0),
    )


def _blocks(
    scorer: Scorer, vectors: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Scores]]:
    """Every pair of `vectors` (N, D) once, a block at a time: the two faces' places (P,), and the scores (P,)."""
    starts = range(0, len(vectors), _BLOCK)
    faces = Profile.joined([scorer.profile(vectors[start : start + _BLOCK]) for start in starts])
    for row in starts:
        for column in range(row, len(vectors), _BLOCK):
            rows, columns = faces[row : row + _BLOCK], faces[column : column + _BLOCK]
            scores = scorer.compare(rows, columns)
            if row == column:
                first, second = np.triu_indices(len(rows.directions), k=1)
            else:
                first, second = (each.ravel() for each in np.indices(scores.shape))
            yield first + row, second + column, scores[first, second]
