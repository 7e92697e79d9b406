"""False match rate (FMR) and false non-match rate (FNMR) of scores.

Terms are those of ISO/IEC 19795-1: a genuine pair shows one person, an impostor pair two; FMR at a threshold is the
share of impostor pairs that score at or above it, FNMR the share of genuine pairs that score below, TAR is 1 - FNMR.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.claims import LEAST_ERRORS, Claim, claim_of_count

Scores = NDArray[np.float64]

#: The rounds of a bootstrap, and the points of an ROC curve.
ROUNDS, _CURVE_POINTS = 500, 400


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `pairs` with its 95 % interval; `low` and `high` are None if it is unknown."""

    value: float
    low: float | None = None
    high: float | None = None
    pairs: int = 0

    @property
    def errors(self) -> int:
        """The number of the pairs that are errors."""
        return round(self.value * self.pairs)

    @property
    def measured(self) -> bool:
        """Whether it is based on LEAST_ERRORS errors or more."""
        return self.errors >= LEAST_ERRORS

    @property
    def claim(self) -> Claim:
        """What may be said of it, if there is a pair."""
        return claim_of_count(self.errors, self.pairs, self.high)


class Trial:
    """Scored pairs, sorted once, so that rates at thresholds are binary searches.

    `scores` (P,), `same` (P,), and `people` (P, 2), the two persons of each pair, for resampling.
    """

    def __init__(self, scores: Scores, same: NDArray[np.bool_], people: NDArray[np.int64]) -> None:
        if not (np.any(same) and np.any(~same)):
            raise ValueError("error rates need pairs of one person and pairs of two")
        self.genuine = _sorted(scores[same])
        self.impostor = _sorted(scores[~same])
        self._genuine_people = people[same, 0][np.argsort(scores[same], kind="stable")]
        self._impostor_people = people[~same][np.argsort(scores[~same], kind="stable")]
        self._count = int(people.max()) + 1

    def false_match_rate(self, threshold: float) -> float:
        """FMR at `threshold`."""
        return 1.0 - np.searchsorted(self.impostor, threshold, side="left") / len(self.impostor)

    def false_non_match_rate(self, threshold: float) -> float:
        """FNMR at `threshold`."""
        return float(np.searchsorted(self.genuine, threshold, side="left") / len(self.genuine))

    def threshold_at(self, false_match_rate: float) -> float | None:
        """The lowest score at which the FMR is not above `false_match_rate`; None with so few impostor pairs that not
        even one false match would be allowed.
        """
        allowed = int(false_match_rate * len(self.impostor) + 1e-9)
        if allowed < 1:
            return None
        return float(np.nextafter(self.impostor[-allowed - 1], np.inf)) if allowed < len(self.impostor) else -np.inf

    def true_accept_rate(self, false_match_rate: float) -> float | None:
        """TAR at an FMR of `false_match_rate`; None with too few pairs."""
        threshold = self.threshold_at(false_match_rate)
        return None if threshold is None else 1.0 - self.false_non_match_rate(threshold)

    def equal_error(self) -> tuple[float, float]:
        """The error rate at which FMR and FNMR are equal, and its score."""
        candidates = np.unique(self.genuine)
        fnmr = np.searchsorted(self.genuine, candidates, side="left") / len(self.genuine)
        fmr = 1.0 - np.searchsorted(self.impostor, candidates, side="left") / len(self.impostor)
        meeting = int(np.argmin(np.abs(fmr - fnmr)))
        return float((fmr[meeting] + fnmr[meeting]) / 2), float(candidates[meeting])

    def area_under_curve(self) -> float:
        """The probability that a genuine pair scores above an impostor pair; ties count half (Mann-Whitney)."""
        below = np.searchsorted(self.impostor, self.genuine, side="left")
        up_to = np.searchsorted(self.impostor, self.genuine, side="right")
        return float((below + up_to).mean() / (2 * len(self.impostor)))

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """FMR, at equal logarithmic steps, and TAR: the ROC curve for the report."""
        lowest = 1.0 / len(self.impostor)
        rates = np.logspace(np.log10(lowest), 0, _CURVE_POINTS)
        taken = np.clip((rates * len(self.impostor)).astype(int), 1, len(self.impostor))
        thresholds = self.impostor[-taken]
        tar = 1.0 - np.searchsorted(self.genuine, thresholds, side="left") / len(self.genuine)
        return rates, np.asarray(tar, dtype=np.float64)

    def intervals(self, thresholds: Scores) -> tuple[list[Rate], list[Rate]]:
        """FMR and FNMR at each threshold with 95 % intervals by bootstrap over people, not pairs.

        Errors of pairs that share a person are correlated, so persons are drawn with replacement, and the weight of a
        pair is the product of the counts of its two persons (for a genuine pair, the count of its one).
        """
        generator = np.random.default_rng(0)
        weights = generator.multinomial(self._count, np.full(self._count, 1 / self._count), size=ROUNDS).astype(float)
        fmr = self._resampled_fmr(thresholds, weights)
        fnmr = self._resampled_fnmr(thresholds, weights)
        return (
            [interval(self.false_match_rate(t), fmr[:, i], len(self.impostor)) for i, t in enumerate(thresholds)],
            [interval(self.false_non_match_rate(t), fnmr[:, i], len(self.genuine)) for i, t in enumerate(thresholds)],
        )

    def _resampled_fmr(self, thresholds: Scores, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # Pairs are counted by their persons, so that a round is one product, not a pass over millions of pairs.
        codes = self._impostor_people[:, 0] * self._count + self._impostor_people[:, 1]
        kinds, counts = np.unique(codes, return_counts=True)
        rows, columns = np.divmod(kinds, self._count)
        rates = np.empty((len(weights), len(thresholds)))
        false = [self._impostor_people[np.searchsorted(self.impostor, t, side="left") :] for t in thresholds]
        for place, weight in enumerate(weights):
            total = float((weight[rows] * weight[columns] * counts).sum())
            for column, people in enumerate(false):
                rates[place, column] = (weight[people[:, 0]] * weight[people[:, 1]]).sum() / max(total, 1.0)
        return rates

    def _resampled_fnmr(self, thresholds: Scores, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        totals = np.bincount(self._genuine_people, minlength=self._count)
        missed = np.stack(
            [
                np.bincount(
                    self._genuine_people[: np.searchsorted(self.genuine, t, side="left")], minlength=self._count
                )
                for t in thresholds
            ],
            axis=1,
        )
        return np.asarray((weights @ missed) / np.maximum(weights @ totals, 1.0)[:, np.newaxis])


def accuracy_by_fold(scores: Scores, same: NDArray[np.bool_], folds: NDArray[np.str_]) -> tuple[float, float]:
    """Mean accuracy over folds and its standard error; each fold uses the threshold that is best on the others.

    The protocol of Labeled Faces in the Wild, View 2 (Huang et al., 2007).
    """
    shares = []
    for fold in np.unique(folds):
        inside = folds == fold
        threshold = _best_threshold(scores[~inside], same[~inside])
        shares.append(float(np.mean((scores[inside] >= threshold) == same[inside])))
    return float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0


def _best_threshold(scores: Scores, same: NDArray[np.bool_]) -> float:
    """The threshold with the highest accuracy, in the middle between two scores."""
    order = np.argsort(scores, kind="stable")
    ranked, labels = scores[order], same[order]
    # A threshold before index k accepts all pairs from k on.
    right = np.concatenate([[0], np.cumsum(~labels)]) + np.concatenate([np.cumsum(labels[::-1])[::-1], [0]])
    cut = int(np.argmax(right))
    finite = np.clip(ranked, -1e9, 1e9)
    if cut == 0 or cut == len(ranked):
        return float(finite[0] if cut == 0 else finite[-1] + 1.0)
    return float((finite[cut - 1] + finite[cut]) / 2)


def _sorted(scores: Scores) -> Scores:
    return np.asarray(np.sort(scores, kind="stable"), dtype=np.float64)


def interval(value: float, resampled: NDArray[np.float64], pairs: int) -> Rate:
    """The middle 95 % of `resampled`.

    Without any error, resampling gives no upper bound. It is then 3 / `pairs`, the rule of three (Hanley and
    Lippman-Hand, JAMA 1983), as for independent pairs.
    """
    if not pairs:
        return Rate(0.0)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Rate(float(value), float(low), min(3.0 / pairs, 1.0) if value == 0 else float(high), pairs)
