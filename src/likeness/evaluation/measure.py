"""Pairs and embeddings → all error rates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.claims import LEAST_ERRORS
from likeness.comparer import Comparer
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.pairs import PairSet
from likeness.evaluation.rates import Rate, Scores, Trial, accuracy_by_fold

#: Usual thresholds, for which the calibration promises false match rates.
SIMILARITIES = (50.0, 80.0, 90.0, 95.0, 99.0)
FALSE_MATCH_RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_WORST = 10
#: Groups with fewer pairs of either kind get no rates.
_LEAST_GROUP = 30


@dataclass(frozen=True, slots=True)
class AtSimilarity:
    """The error rates with one Similarity as the threshold."""

    similarity: float
    fmr: Rate
    fnmr: Rate


@dataclass(frozen=True, slots=True)
class Mistake:
    """One pair that is, or nearly is, an error: two photos and their similarity."""

    first: str
    second: str
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of an evaluation; `trial` holds its scores, `similarities` (P,) are those of `pairs`."""

    pairs: PairSet
    trial: Trial
    similarities: Scores
    failures: dict[str, str]
    skipped_pairs: int
    accuracy: tuple[float, float] | None
    area_under_curve: float
    equal_error: float
    equal_error_similarity: float
    accepted_at: dict[float, float | None]
    at_similarity: tuple[AtSimilarity, ...]
    groups: dict[str, tuple[AtSimilarity, ...]]
    false_matches: tuple[Mistake, ...]
    false_non_matches: tuple[Mistake, ...]


def evaluate(comparer: Comparer, pairs: PairSet, embeddings: Embeddings) -> Evaluation:
    """The error rates of `comparer` on `pairs`, with the embeddings of their photos.

    Pairs with an unusable photo are left out and counted. ValueError if no genuine or no impostor pair is left.
    """
    usable = embeddings.usable[pairs.first] & embeddings.usable[pairs.second]
    left = _only(pairs, usable)
    similarities = comparer.similarities(embeddings.vectors, left.first, left.second)
    people = np.stack([left.people[left.first], left.people[left.second]], axis=1)
    trial = Trial(similarities, left.same, people)
    equal_error, equal_error_similarity = trial.equal_error()
    return Evaluation(
        pairs=left,
        trial=trial,
        similarities=similarities,
        failures={pairs.photos[place]: reason for place, reason in sorted(embeddings.failures.items())},
        skipped_pairs=int(np.sum(~usable)),
        accuracy=None if left.folds is None else accuracy_by_fold(similarities, left.same, left.folds),
        area_under_curve=trial.area_under_curve(),
        equal_error=equal_error,
        equal_error_similarity=equal_error_similarity,
        accepted_at={rate: _accepted(trial, rate) for rate in FALSE_MATCH_RATES},
        at_similarity=_at_similarities(trial),
        groups=_by_group(left, similarities, people),
        false_matches=_worst(left, similarities, same=False),
        false_non_matches=_worst(left, similarities, same=True),
    )


def _accepted(trial: Trial, rate: float) -> float | None:
    """The share of genuine pairs accepted at a false match rate; None with too few impostor pairs for that rate."""
    return trial.true_accept_rate(rate) if rate * len(trial.impostor) >= LEAST_ERRORS - 0.5 else None


def _only(pairs: PairSet, chosen: NDArray[np.bool_]) -> PairSet:
    return PairSet(
        pairs.photos,
        pairs.first[chosen],
        pairs.second[chosen],
        pairs.same[chosen],
        pairs.people,
        folds=None if pairs.folds is None else pairs.folds[chosen],
        groups=None if pairs.groups is None else pairs.groups[chosen],
    )


def _at_similarities(trial: Trial) -> tuple[AtSimilarity, ...]:
    fmr, fnmr = trial.intervals(np.array(SIMILARITIES))
    return tuple(AtSimilarity(*row) for row in zip(SIMILARITIES, fmr, fnmr, strict=True))


def _by_group(pairs: PairSet, similarities: Scores, people: NDArray[np.int64]) -> dict[str, tuple[AtSimilarity, ...]]:
    groups: dict[str, tuple[AtSimilarity, ...]] = {}
    for name in [] if pairs.groups is None else np.unique(pairs.groups):
        inside = pairs.groups == name
        genuine = int(np.sum(pairs.same & inside))
        if name and min(genuine, int(np.sum(inside)) - genuine) >= _LEAST_GROUP:
            groups[str(name)] = _at_similarities(Trial(similarities[inside], pairs.same[inside], people[inside]))
    return groups


def _worst(pairs: PairSet, similarities: Scores, *, same: bool) -> tuple[Mistake, ...]:
    """The most similar pairs of different people, or the least similar pairs of one person."""
    places = np.flatnonzero(pairs.same == same)
    order = np.argsort(similarities[places] if same else -similarities[places], kind="stable")[:_WORST]
    return tuple(
        Mistake(pairs.photos[pairs.first[p]], pairs.photos[pairs.second[p]], float(similarities[p]))
        for p in places[order]
    )
