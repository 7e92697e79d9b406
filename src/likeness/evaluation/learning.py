"""Labelled photos → a pack's cohort and curve, and its error rates on held-out people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.cohort import FEWEST, Cohort, draw_cohort
from likeness.evaluation.cross_fit import PARTS, GroupedFaces, cross_fitted_scores, parts_of
from likeness.evaluation.curve import cell_weights, fit_calibration
from likeness.evaluation.differential import differential
from likeness.evaluation.error_counts import ErrorCounts
from likeness.evaluation.labelled import LabelledFaces
from likeness.evaluation.rates import Rate, Scores, accuracy_by_fold
from likeness.packs.manifest import Measurement
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import Scorer

#: All pairs in a cell are held in memory; more photos would not fit into that of a small machine.
MOST_PHOTOS = 12_000
LEVELS = (80.0, 90.0, 95.0, 99.0)
#: The levels at which the cells' rates are written into a pack; few cells have enough false matches at higher ones.
CELL_LEVELS = (80.0, 90.0)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs (P,) of all faces, with the tables concatenated: `first` and `second` index faces, `same` is whether they
    show one person, `tables` the number of their table, `cells` that of their cell in `names`, -1 for none.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    tables: NDArray[np.int64]
    cells: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The cohort and curve, and the errors of pairs with models learned without their people: `cells` by cell, `tables`
    by table. `cohort` is None if the pack keeps its scoring.

    `accuracy`, by table, is that of labelled pairs over their folds with its standard error.
    """

    calibration: Calibration
    cohort: Cohort | None
    cells: dict[str, ErrorCounts]
    tables: dict[str, ErrorCounts]
    accuracy: dict[str, tuple[float, float]]

    def measurements(self, command: str) -> list[Measurement]:
        """The figures for a pack's manifest."""
        rows: list[Measurement] = []
        for table, (value, _) in self.accuracy.items():
            rows.append(Measurement("accuracy over folds", table, _round(value), command=command))
        for table, counts in self.tables.items():
            if not counts.pairs[0]:
                continue
            for level, fnmr in zip(counts.levels, counts.false_non_match_rates(), strict=True):
                rows.append(_measured(f"FNMR at {level:.0f}", table, fnmr, command))
        for place, level in enumerate(LEVELS):
            if self.calibration.claim(level).kind == "measured":  # otherwise too few false matches for a rate
                by_cell = {cell: counts.false_match_rates()[place] for cell, counts in self.cells.items()}
                rows += _over_cells(level, by_cell, command)
        return rows


def calibrate(
    sets: Sequence[LabelledFaces],
    *,
    within: Sequence[str] = (),
    keep: Scorer | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Draws a cohort and fits the curve for the faces of `sets`; with the scorer `keep` only the curve.

    All pairs within a cell and of a person are compared. The curve is that of the mean over cells; scores come from
    models learned without the two people, the final cohort is drawn from all of them. `within` is what the people of a
    cell have in common, for what the calibration claims. `advance` is called after each model. ValueError if there are
    too few photos.
    """
    if sum(len(each.vectors) for each in sets) > MOST_PHOTOS:
        raise ValueError(f"more than the {MOST_PHOTOS} photos that can all be compared; use fewer")
    vectors = np.concatenate([each.vectors for each in sets])
    people = _numbered(sets)
    groups = np.concatenate([each.groups for each in sets])
    pairs = _all_pairs(sets)
    if keep is not None:
        scores = keep.score_pairs(vectors, pairs.first, pairs.second)
    else:
        _check_enough(parts_of(people)[groups != ""])
        faces = GroupedFaces(vectors, people, groups)
        scores = cross_fitted_scores(faces, pairs.first, pairs.second, advance=advance)
    impostor = ~pairs.same & (pairs.cells >= 0)
    if not np.any(impostor):
        raise ValueError("too few photos: no pair of different people is within a cell")
    calibration = fit_calibration(scores[pairs.same], scores[impostor], cell_weights(pairs.cells[impostor]))
    calibration = replace(calibration, within=tuple(within))
    similarities = calibration.similarity(scores)
    cells = {pairs.names[cell]: pairs.cells == cell for cell in np.unique(pairs.cells[impostor])}
    tables = {each.name: pairs.tables == place for place, each in enumerate(sets)}
    return Outcome(
        calibration=calibration,
        cohort=None if keep is not None else draw_cohort(vectors, people, groups),
        cells={name: _counted(pairs, similarities, people, inside) for name, inside in cells.items()},
        tables={name: _counted(pairs, similarities, people, inside) for name, inside in tables.items()},
        accuracy=_accuracies(sets, pairs, similarities),
    )


def _check_enough(parts: NDArray[np.int64]) -> None:
    """Raises ValueError where the faces in groups, of these `parts` (N,), are too few for a cohort of cross-fitting."""
    by_part = np.sort(np.bincount(parts, minlength=PARTS))
    left = int(by_part[:-2].sum())  # without the two largest parts
    if left < FEWEST:
        raise ValueError(
            f"{len(parts)} faces in groups are too few to draw cohorts from: without a third of the people {left} "
            f"are left, and {FEWEST} are needed; --keep-scoring draws none, and fits the curve to the pack's scores"
        )


def _numbered(sets: Sequence[LabelledFaces]) -> NDArray[np.int64]:
    """The number of the person of each face of all tables; no person is in two tables."""
    people, beyond = [], 0
    for each in sets:
        people.append(each.people + beyond)
        beyond += int(each.people.max(initial=-1)) + 1
    return np.concatenate(people)


def _all_pairs(sets: Sequence[LabelledFaces]) -> Pairs:
    """All genuine pairs of each table, all impostor pairs within a cell, and the pairs that a table lists."""
    names, codes = np.unique(np.concatenate([each.cells for each in sets]), return_inverse=True)
    numbers = np.where(names[codes] == "", -1, codes)
    parts, beyond = [], 0
    for place, each in enumerate(sets):
        own = numbers[beyond : beyond + len(each.vectors)]
        first, second = np.triu_indices(len(each.vectors), k=1)
        same = each.people[first] == each.people[second]
        within = np.where(own[first] == own[second], own[first], -1)
        wanted = same | (within >= 0) | _listed(each, first, second)
        first, second, same, within = first[wanted], second[wanted], same[wanted], within[wanted]
        parts.append((first + beyond, second + beyond, same, np.full(len(first), place), within))
        beyond += len(each.vectors)
    first, second, same, tables, cells = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Pairs(first, second, same, tables, cells, tuple(str(name) for name in names))


def _listed(faces: LabelledFaces, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the pairs (P,) with `first` below `second` the table lists."""
    if faces.pairs is None:
        return np.zeros(len(first), dtype=np.bool_)
    low, high = np.minimum(faces.pairs.first, faces.pairs.second), np.maximum(faces.pairs.first, faces.pairs.second)
    return np.isin(first * len(faces.people) + second, low * len(faces.people) + high)


def _counted(pairs: Pairs, similarities: Scores, people: NDArray[np.int64], inside: NDArray[np.bool_]) -> ErrorCounts:
    """The errors of the pairs that are `inside` (P,)."""
    first, second = pairs.first[inside], pairs.second[inside]
    present, numbers = np.unique(np.concatenate([people[first], people[second]]), return_inverse=True)
    counts = ErrorCounts(len(present), LEVELS)
    counts.add(similarities[inside], pairs.same[inside], numbers[: len(first)], numbers[len(first) :])
    return counts


def _accuracies(sets: Sequence[LabelledFaces], pairs: Pairs, similarities: Scores) -> dict[str, tuple[float, float]]:
    """The accuracy over folds of the tables of pairs with folds."""
    accuracies, beyond = {}, 0
    for place, each in enumerate(sets):
        if each.pairs is not None and each.pairs.folds is not None:
            square = np.full((len(each.vectors),) * 2, np.nan)
            own = pairs.tables == place
            first, second = pairs.first[own] - beyond, pairs.second[own] - beyond
            square[first, second] = square[second, first] = similarities[own]
            labelled = square[each.pairs.first, each.pairs.second]
            accuracies[each.name] = accuracy_by_fold(labelled, each.pairs.same, each.pairs.folds)
        beyond += len(each.vectors)
    return accuracies


def _over_cells(level: float, by_cell: Mapping[str, Rate], command: str) -> list[Measurement]:
    """The figures of the false match rates at `level`: their mean, the highest, each, and their ratios."""
    measure = f"FMR at {level:.0f}"
    rates = list(by_cell.values())
    worst = max(by_cell, key=lambda cell: by_cell[cell].value)
    errors, pairs = sum(rate.errors for rate in rates), sum(rate.pairs for rate in rates)
    mean = _round(float(np.mean([rate.value for rate in rates])))
    rows = [
        Measurement(measure, "mean of cells", mean, command=command, errors=errors, pairs=pairs),
        _measured(f"{measure}, worst cell", worst, by_cell[worst], command),
    ]
    if level not in CELL_LEVELS or len(rates) < 2:
        return rows
    rows += [_measured(measure, cell, rate, command) for cell, rate in by_cell.items()]
    spread = differential([rate.value for rate in rates], ())
    for what, ratio in (("min", spread.max_over_min), ("geometric mean", spread.max_over_geometric_mean)):
        if ratio:
            fewest = min(rate.errors for rate in rates)
            row = Measurement(f"{measure}, max over {what}", "cells", _round(ratio), command=command, errors=fewest)
            rows.append(row)
    return rows


def _measured(measure: str, data: str, rate: Rate, command: str) -> Measurement:
    low, high = (None if bound is None else _round(bound) for bound in (rate.low, rate.high))
    return Measurement(measure, data, _round(rate.value), low, high, command, rate.errors, rate.pairs)


def _round(value: float) -> float:
    return float(f"{value:.4g}")
