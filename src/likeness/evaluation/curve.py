"""Scores of labelled pairs → the calibration curve that keeps the promise of a Similarity.

The rate is the mean over cells, equally weighted: a pair's weight is inverse to the number of pairs in its cell. Rates
that the impostor pairs can show are read off their scores; rarer ones come from a generalised Pareto tail fitted to the
highest scores (Pickands 1975; fitted by probability-weighted moments, Hosking and Wallis, Technometrics 1987), and the
calibration says from which rate on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.rates import LEAST_BEYOND, Scores
from likeness.vision.calibration import Calibration

#: The tail is fitted to the scores that this share of impostor pairs reaches, and to no fewer pairs than these.
_TAIL_SHARE = 1e-3
_LEAST_IN_TAIL = 100
#: Similarity 50 is the equal error point, and must be below 80, which is a rate of 0.001.
_LEAST_EQUAL_ERROR_RATE = 0.002
#: Where the curve has its knots: log10 of false match rates.
_KNOTS = tuple(np.round(np.concatenate([[-0.05, -0.15, -0.3, -0.5, -0.75], np.arange(-1.0, -8.01, -0.25)]), 2))


@dataclass(frozen=True, slots=True)
class Tail:
    """A generalised Pareto tail: beyond the score `start`, reached with the rate `share`."""

    start: float
    share: float
    scale: float
    shape: float

    def score(self, rate: float) -> float:
        """The score that is reached with the rate `rate`, below `share`."""
        ratio = self.share / rate
        if abs(self.shape) < 1e-9:
            return self.start + self.scale * float(np.log(ratio))
        return self.start + self.scale / self.shape * (float(ratio**self.shape) - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Impostor scores from the highest down, and the rate at which each is reached: the weights up to it, of one in
    all.
    """

    scores: NDArray[np.float64]
    rates: NDArray[np.float64]

    @staticmethod
    def of(scores: Scores, weights: NDArray[np.float64] | None = None) -> "Ranked":
        """`scores` (P,) by their `weights` (P,), which need not add up to one; without them all weigh the same."""
        order = np.argsort(-scores, kind="stable")
        shares = np.ones(len(scores)) if weights is None else weights[order]
        return Ranked(scores[order], np.cumsum(shares) / shares.sum())

    def score(self, rate: float) -> float:
        """The score that is reached with this rate."""
        place = int(np.searchsorted(self.rates, rate * (1 - 1e-9)))
        return float(self.scores[min(place, len(self.scores) - 1)])

    def rate(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rate at which each `score` is reached."""
        beyond = np.searchsorted(-self.scores, -score, side="right")
        return np.asarray(np.where(beyond > 0, self.rates[np.maximum(beyond, 1) - 1], 0.0))


def cell_weights(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight (P,) of a pair of each of `cells` (P,), so that all cells weigh the same."""
    _, places, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / counts[places])


def fit_tail(ranked: Ranked, share: float = _TAIL_SHARE) -> Tail:
    """The tail beyond the score that `share` of the impostor pairs reach.

    A shape below zero would mean that no impostor ever exceeds some score, which the data cannot show: it is then
    taken as zero, an exponential tail. ValueError for fewer than 100 scores beyond.
    """
    beyond = int(np.searchsorted(ranked.rates, share, side="right"))
    if beyond < _LEAST_IN_TAIL:
        raise ValueError(
            f"{len(ranked.scores)} impostor pairs are too few for a tail: "
            f"{_LEAST_IN_TAIL} of them must lie beyond a rate of {share:g}"
        )
    start = float(ranked.scores[beyond])
    excess = ranked.scores[:beyond] - start
    weights = np.diff(ranked.rates[:beyond], prepend=0.0) / ranked.rates[beyond - 1]
    # The probability-weighted moment: each excess by the share of the tail beyond it, its own half counted.
    above = np.cumsum(weights) - weights / 2
    mean, weighted = float((weights * excess).sum()), float((weights * excess * above).sum())
    shape = max(2.0 - mean / (mean - 2.0 * weighted), 0.0)
    return Tail(start, float(ranked.rates[beyond - 1]), mean * (1.0 - shape), shape)


def fit_calibration(genuine: Scores, impostor: Scores, weights: NDArray[np.float64] | None = None) -> Calibration:
    """The curve for a pack whose pairs of one person and of two score so; infinite scores do not count.

    `weights` (P,) say how much each impostor pair counts. ValueError where 100 genuine pairs are not there, impostor
    pairs are too few for a tail, or the scores do not separate people.
    """
    genuine, finite = genuine[np.isfinite(genuine)], np.isfinite(impostor)
    if len(genuine) < 100:
        raise ValueError(f"{len(genuine)} genuine pairs are too few to calibrate with; at least 100 are needed")
    ranked = Ranked.of(impostor[finite], None if weights is None else weights[finite])
    tail = fit_tail(ranked)
    measured = float(np.log10(ranked.rates[LEAST_BEYOND - 1]))
    rising: list[tuple[float, float]] = []
    for rate in _KNOTS:
        score = tail.score(10.0**rate) if rate < measured else ranked.score(10.0**rate)
        if not rising or score > rising[-1][0] + 1e-6:
            rising.append((score, float(rate)))
    return Calibration(
        scores=tuple(round(score, 5) for score, _ in rising),
        log10_rates=tuple(rate for _, rate in rising),
        equal_error_rate=round(_equal_error_rate(np.sort(genuine), ranked), 6),
        measured_log10_rate=round(measured, 2),
    )


def _equal_error_rate(genuine: NDArray[np.float64], ranked: Ranked) -> float:
    """The rate at which as many genuine pairs are missed as impostor pairs are taken."""
    missed = np.arange(len(genuine)) / len(genuine)
    taken = ranked.rate(genuine)
    place = int(np.argmin(np.abs(missed - taken)))
    return max(float((missed[place] + taken[place]) / 2), _LEAST_EQUAL_ERROR_RATE)
