"""Labelled photos → what a pack learns from them, and how well it does on people it did not learn from."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from likeness.comparer import Comparer
from likeness.evaluation.cross_fit import cross_fitted_scores, learn_shipped
from likeness.evaluation.curve import fit_calibration
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.learned_scoring import LearnedScoring, learn_scoring
from likeness.evaluation.pairs import PairSet
from likeness.evaluation.rates import Rate, Scores, Trial, accuracy_by_fold
from likeness.packs.manifest import Measurement
from likeness.vision.calibration import Calibration

#: Every photo is compared with every other; more would not fit into the memory of a small machine (8 bytes a pair).
MOST_PHOTOS = 12_000
FALSE_MATCH_RATES = (1e-2, 1e-3, 1e-4, 1e-5)
LEVELS = (80.0, 90.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was learned, and the similarities (`trial`) that all pairs get from what was learned without their people.

    `accuracy` is that of the labelled pairs over their folds, and its standard error; None without folds.
    """

    calibration: Calibration
    scoring: LearnedScoring | None
    trial: Trial
    accuracy: tuple[float, float] | None
    photos: int
    failures: int

    def at_similarity(self, levels: NDArray[np.float64]) -> tuple[list[Rate], list[Rate]]:
        """FMR and FNMR at each Similarity, with intervals over people."""
        return self.trial.intervals(levels, rounds=200)

    def facts(self) -> list[tuple[str, str]]:
        """The outcome in words, name and value."""
        trial = self.trial
        facts = [
            ("photos", f"{self.photos}, {self.failures} without a usable face"),
            ("pairs", f"{len(trial.genuine)} genuine, {len(trial.impostor)} impostor"),
            ("equal error rate", f"{self.calibration.equal_error_rate:.4f}"),
        ]
        if self.accuracy:
            facts.append(("accuracy over folds", f"{self.accuracy[0]:.4f} ± {self.accuracy[1]:.4f}"))
        for rate in FALSE_MATCH_RATES:
            accepted = trial.true_accept_rate(rate)
            facts.append((f"accepted at FMR {rate:.0e}", "too few pairs" if accepted is None else f"{accepted:.4f}"))
        return facts

    def measurements(self, data: str, command: str) -> list[Measurement]:
        """The figures for a pack's manifest."""
        rows = []
        if self.accuracy:
            rows.append(Measurement("accuracy over folds", data, _round(self.accuracy[0]), command=command))
        for rate in FALSE_MATCH_RATES:
            accepted = self.trial.true_accept_rate(rate)
            if accepted is not None:
                rows.append(
                    Measurement(f"genuine pairs accepted at FMR {rate:.0e}", data, _round(accepted), command=command)
                )
        fmr, fnmr = self.at_similarity(np.array(LEVELS))
        for level, false_match, false_non_match in zip(LEVELS, fmr, fnmr, strict=True):
            rows.append(_measured(f"FMR at {level:.0f}", data, false_match, command))
            rows.append(_measured(f"FNMR at {level:.0f}", data, false_non_match, command))
        return rows


def calibrate(comparer: Comparer, pairs: PairSet, embeddings: Embeddings, *, keep_scoring: bool = False) -> Outcome:
    """Learns metric, strangers and the curve from the photos of `pairs`; with `keep_scoring` only the curve.

    Every photo is compared with every other. The curve is fitted to scores that were made without the people they are
    about; metric and strangers that ship are learned from all of them. ValueError where the photos do not suffice.
    """
    usable = np.flatnonzero(embeddings.usable)
    if len(usable) > MOST_PHOTOS:
        raise ValueError(f"{len(usable)} photos are more than the {MOST_PHOTOS} that can all be compared; use fewer")
    vectors, people = embeddings.vectors[usable], pairs.people[usable]
    lengths = comparer.lengths
    learn = partial(learn_shipped, lengths=lengths)
    scores = _own_scores(comparer, vectors) if keep_scoring else cross_fitted_scores(vectors, people, learn=learn)
    first, second = np.triu_indices(len(usable), k=1)
    same = people[first] == people[second]
    calibration = fit_calibration(scores[first, second][same], scores[first, second][~same])
    similarities = calibration.similarity(scores)
    return Outcome(
        calibration=calibration,
        scoring=None if keep_scoring else learn_scoring(vectors, people, lengths=lengths),
        trial=Trial(similarities[first, second], same, np.stack([people[first], people[second]], axis=1)),
        accuracy=_accuracy(pairs, usable, similarities),
        photos=len(embeddings.vectors),
        failures=len(embeddings.failures),
    )


def _own_scores(comparer: Comparer, vectors: NDArray[np.float32]) -> Scores:
    faces = comparer.scorer.profile(vectors)
    return comparer.scorer.compare(faces, faces)


def _accuracy(pairs: PairSet, usable: NDArray[np.intp], similarities: Scores) -> tuple[float, float] | None:
    if pairs.folds is None:
        return None
    places = np.full(len(pairs.photos), -1)
    places[usable] = np.arange(len(usable))
    first, second = places[pairs.first], places[pairs.second]
    whole = (first >= 0) & (second >= 0)
    return accuracy_by_fold(similarities[first[whole], second[whole]], pairs.same[whole], pairs.folds[whole])


def _measured(measure: str, data: str, rate: Rate, command: str) -> Measurement:
    low, high = (None if bound is None else _round(bound) for bound in (rate.low, rate.high))
    return Measurement(measure, data, _round(rate.value), low, high, command)


def _round(value: float) -> float:
    return float(f"{value:.4g}")
