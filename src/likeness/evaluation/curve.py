"""Scores of labelled pairs → the calibration curve that keeps the promise of a Similarity.

Rates that the impostor pairs can show are read off their scores; rarer ones come from a generalised Pareto tail fitted
to the highest scores (Pickands 1975; fitted by probability-weighted moments, Hosking and Wallis, Technometrics 1987),
and the calibration says from which rate on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.rates import Scores
from likeness.vision.calibration import Calibration

#: Fewer impostor pairs than this beyond a score do not measure its rate.
_LEAST_BEYOND = 100
#: The tail is fitted to the scores that this share of impostor pairs reaches.
_TAIL_SHARE = 1e-3
#: Similarity 50 stands at the equal error point, and must lie below 80, which stands for a rate of 0.001.
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


def fit_tail(impostor: Scores, share: float = _TAIL_SHARE) -> Tail:
    """The tail of `impostor` scores beyond the one that `share` of them reach.

    A shape below zero would say that beyond some score no stranger is ever found, which nobody can promise: it is then
    taken as zero, an exponential tail. ValueError for fewer than 100 scores beyond.
    """
    ranked = np.sort(impostor)
    beyond = int(len(ranked) * share)
    if beyond < _LEAST_BEYOND:
        raise ValueError(
            f"{len(ranked)} impostor pairs are too few for a tail: {_LEAST_BEYOND / share:,.0f} are needed"
        )
    start = float(ranked[-beyond - 1])
    excess = ranked[-beyond:] - start
    mean = float(excess.mean())
    weighted = float((excess * (beyond - np.arange(1, beyond + 1)) / (beyond - 1)).mean())
    shape = max(2.0 - mean / (mean - 2.0 * weighted), 0.0)
    return Tail(start, beyond / len(ranked), mean * (1.0 - shape), shape)


def fit_calibration(genuine: Scores, impostor: Scores) -> Calibration:
    """The curve for a pack whose pairs of one person and of two score so; infinite scores do not count.

    ValueError where 100,000 impostor pairs or 100 genuine ones are not there, or the scores tell nobody apart.
    """
    genuine, impostor = genuine[np.isfinite(genuine)], np.sort(impostor[np.isfinite(impostor)])
    if len(genuine) < 100:
        raise ValueError(f"{len(genuine)} genuine pairs are too few to calibrate with; at least 100 are needed")
    tail = fit_tail(impostor)
    measured = float(np.log10(_LEAST_BEYOND / len(impostor)))
    scores = [_score_at(impostor, tail, rate, measured) for rate in _KNOTS]
    rising: list[tuple[float, float]] = []
    for score, rate in zip(scores, _KNOTS, strict=True):
        if not rising or score > rising[-1][0] + 1e-6:
            rising.append((score, float(rate)))
    return Calibration(
        scores=tuple(round(score, 5) for score, _ in rising),
        log10_rates=tuple(rate for _, rate in rising),
        equal_error_rate=round(_equal_error_rate(np.sort(genuine), impostor), 6),
        measured_log10_rate=round(measured, 2),
    )


def _score_at(impostor: NDArray[np.float64], tail: Tail, log10_rate: float, measured: float) -> float:
    rate = 10.0**log10_rate
    if log10_rate < measured:
        return tail.score(rate)
    return float(impostor[-max(1, round(rate * len(impostor)))])


def _equal_error_rate(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """The rate at which as many genuine pairs are missed as impostor pairs are taken."""
    missed = np.arange(len(genuine)) / len(genuine)
    taken = 1.0 - np.searchsorted(impostor, genuine, side="left") / len(impostor)
    place = int(np.argmin(np.abs(missed - taken)))
    return max(float((missed[place] + taken[place]) / 2), _LEAST_EQUAL_ERROR_RATE)
