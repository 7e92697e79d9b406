"""Scores of labelled pairs → the calibration curve, from scores to Similarity with the promised false match rates.

The rate is the mean over equally weighted cells: a pair's weight is inverse to the number of pairs in its cell. Rates
are measured on the impostor pairs as far as there are enough; lower ones come from a generalised Pareto tail of the
highest scores (Pickands 1975; fitted by probability-weighted moments, Hosking and Wallis, Technometrics 1987). The
calibration contains the lowest measured rate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.claims import LEAST_ERRORS
from likeness.evaluation.rates import Scores
from likeness.vision.calibration import Calibration

#: The share of impostor pairs to whose scores the tail is fitted, and the least number of them.
_TAIL_SHARE = 1e-3
_LEAST_IN_TAIL = 100
#: Similarity 50 is the equal error point; its rate must be above that of Similarity 80, 0.001.
_LEAST_EQUAL_ERROR_RATE = 0.002
#: The knots of the curve, as log10 of false match rates.
_KNOTS = tuple(np.round(np.concatenate([[-0.05, -0.15, -0.3, -0.5, -0.75], np.arange(-1.0, -8.01, -0.25)]), 2))


@dataclass(frozen=True, slots=True)
class Tail:
    """A generalised Pareto tail beyond the score `start`, whose rate is `share`."""

    start: float
    share: float
    scale: float
    shape: float

    def score(self, rate: float) -> float:
        """The score with the rate `rate`, below `share`."""
        ratio = self.share / rate
        if abs(self.shape) < 1e-9:
            return self.start + self.scale * float(np.log(ratio))
        return self.start + self.scale / self.shape * (float(ratio**self.shape) - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Impostor scores in descending order, and the rate at which each is reached: the cumulative normalised weight."""

    scores: NDArray[np.float64]
    rates: NDArray[np.float64]

    @staticmethod
    def of(scores: Scores, weights: NDArray[np.float64] | None = None) -> "Ranked":
        """From `scores` (P,) and `weights` (P,), which are normalised; equal weights by default."""
        order = np.argsort(-scores, kind="stable")
        shares = np.ones(len(scores)) if weights is None else weights[order]
        return Ranked(scores[order], np.cumsum(shares) / shares.sum())

    def score(self, rate: float) -> float:
        """The score with this rate."""
        place = int(np.searchsorted(self.rates, rate * (1 - 1e-9)))
        return float(self.scores[min(place, len(self.scores) - 1)])

    def rate(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rate at which each `score` is reached."""
        beyond = np.searchsorted(-self.scores, -score, side="right")
        return np.asarray(np.where(beyond > 0, self.rates[np.maximum(beyond, 1) - 1], 0.0))


def cell_weights(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight (P,) of each pair by its cell in `cells` (P,), so that all cells have the same total."""
    _, places, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / counts[places])


def fit_tail(ranked: Ranked) -> Tail:
    """The tail beyond the score that one impostor pair in 1,000 reaches.

    A shape below zero would mean an upper limit of impostor scores, which data cannot show: zero, an exponential tail,
    is used instead. ValueError for fewer than 100 scores beyond.
    """
    beyond = int(np.searchsorted(ranked.rates, _TAIL_SHARE, side="right"))
    if beyond < _LEAST_IN_TAIL:
        raise ValueError(
            f"{len(ranked.scores)} impostor pairs are too few for a tail: "
            f"{_LEAST_IN_TAIL} of them must lie beyond a rate of {_TAIL_SHARE:g}"
        )
    start = float(ranked.scores[beyond])
    excess = ranked.scores[:beyond] - start
    weights = np.diff(ranked.rates[:beyond], prepend=0.0) / ranked.rates[beyond - 1]
    # The probability-weighted moment: each excess times the share of the tail beyond it, including half of itself.
    above = np.cumsum(weights) - weights / 2
    mean, weighted = float((weights * excess).sum()), float((weights * excess * above).sum())
    shape = max(2.0 - mean / (mean - 2.0 * weighted), 0.0)
    return Tail(start, float(ranked.rates[beyond - 1]), mean * (1.0 - shape), shape)


def fit_calibration(genuine: Scores, impostor: Scores, weights: NDArray[np.float64] | None = None) -> Calibration:
    """The curve for these scores of pairs of one person and of two; infinite scores are ignored.

    `weights` (P,) are those of the impostor pairs. ValueError if there are fewer than 100 genuine pairs, or too few
    impostor pairs for a tail, or the scores do not separate people.
    """
    genuine, finite = genuine[np.isfinite(genuine)], np.isfinite(impostor)
    if len(genuine) < 100:
        raise ValueError(f"{len(genuine)} genuine pairs are too few to calibrate with; at least 100 are needed")
    ranked = Ranked.of(impostor[finite], None if weights is None else weights[finite])
    tail = fit_tail(ranked)
    measured = float(np.log10(ranked.rates[LEAST_ERRORS - 1]))
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
    """The rate at which FMR and FNMR are equal."""
    missed = np.arange(len(genuine)) / len(genuine)
    taken = ranked.rate(genuine)
    place = int(np.argmin(np.abs(missed - taken)))
    return max(float((missed[place] + taken[place]) / 2), _LEAST_EQUAL_ERROR_RATE)
