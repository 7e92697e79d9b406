"""Score → Similarity, by how often different people, alike in what a calibration names, score as high."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.claims import Claim, different_people

#: The promise: a Similarity, and log10 of the share of pairs of different people that reach it.
PROMISE: tuple[tuple[float, float], ...] = ((80.0, -3.0), (90.0, -4.0), (95.0, -5.0), (99.0, -6.0))

#: Nothing is said of rates that lie more decades than this beyond what was measured.
MOST_DECADES_EXTRAPOLATED = 2.0

_FAR = 1e4  # how far beyond its knots the curve goes on as a line, in scores; those of real vectors are below 100
#: Only identical vectors (an infinite score) reach 100; all else stays below by more than a single's rounding.
_HIGHEST_UNLIKE = 99.9999


@dataclass(frozen=True)
class Calibration:
    """A monotone curve from score to Similarity by way of the false match rate.

    `scores` rise strictly, `log10_rates` fall strictly: log10 of the share of impostor pairs that score at least so
    high, in the mean of the measured cells; linear between the knots and beyond them, at most 0. `equal_error_rate` is
    the share of errors of both kinds at the equal error point, which gets Similarity 50. `measured_log10_rate` is the
    lowest rate that 30 of the calibration pairs showed; below it the curve is a fitted tail. Pairs agree in `within`.
    """

    scores: tuple[float, ...]
    log10_rates: tuple[float, ...]
    equal_error_rate: float
    measured_log10_rate: float
    within: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.log10_rates) or len(self.scores) < 2:
            raise ValueError("a calibration curve needs as many scores as rates, and at least two")
        if not (np.all(np.diff(self.scores) > 0) and np.all(np.diff(self.log10_rates) < 0)):
            raise ValueError("a calibration curve must rise in score and fall in rate at every knot")
        if not np.all(np.isfinite([*self.scores, *self.log10_rates])) or self.log10_rates[0] > 0:
            raise ValueError("the scores and log10_rates of a calibration must be finite, the rates at most 0")
        if not -12 <= self.measured_log10_rate <= 0:
            raise ValueError("the measured_log10_rate of a calibration must lie between -12 and 0")
        if not 10.0 ** PROMISE[0][1] < self.equal_error_rate < 0.5:
            raise ValueError("the equal error rate of a calibration must lie between 0.001 and 0.5")

    def log10_false_match_rate_at_score(self, scores: ArrayLike) -> NDArray[np.float64]:
        """log10 of the share of impostor pairs that score at least `scores`; same shape, at most 0."""
        return np.asarray(np.minimum(np.interp(np.asarray(scores, dtype=np.float64), *self._curve), 0.0))

    def similarity(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Similarity 0 to 100 of `scores`, same shape; 100 exactly for infinite scores and only for them."""
        s = np.asarray(scores, dtype=np.float64)
        rates = self.log10_false_match_rate_at_score(s)
        levels, knots = self._promise
        decades = np.maximum(knots[-1] - rates, 0.0)
        # Beyond the last promise each tenfold rarer score halves what is missing to 100.
        above = 100.0 - (100.0 - levels[-1]) * 0.5**decades
        inside = np.interp(-rates, -knots, levels)
        value = np.where(decades > 0, np.minimum(above, _HIGHEST_UNLIKE), inside)
        return np.where(np.isposinf(s), 100.0, value)

    def false_match_rate(self, similarity: ArrayLike) -> NDArray[np.float64]:
        """The share of pairs of different people that reach `similarity` (0 to 100), same shape; 0 at 100."""
        value = np.asarray(similarity, dtype=np.float64)
        levels, knots = self._promise
        missing = np.maximum(100.0 - value, 0.0) / (100.0 - levels[-1])
        with np.errstate(divide="ignore"):
            beyond = knots[-1] + np.log2(missing)
        inside = np.interp(value, levels, knots)
        return np.asarray(10.0 ** np.where(value > levels[-1], beyond, inside), dtype=np.float64)

    def claim(self, similarity: float) -> Claim:
        """What may be said of the share of pairs of different people that reach `similarity` (0 to 100)."""
        rate = float(self.false_match_rate(similarity))
        measured = 10.0**self.measured_log10_rate
        believed = measured / 10.0**MOST_DECADES_EXTRAPOLATED
        if rate < believed * (1 - 1e-9):
            return Claim(believed, "rarer", self.whom)
        return Claim(rate, "measured" if rate >= measured * (1 - 1e-9) else "extrapolated", self.whom)

    @property
    def whom(self) -> str:
        """The pairs that the rates refer to, in words: different people of the same origin and sex."""
        return different_people(self.within)

    @cached_property
    def _curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and rates with a knot more at either end, far away on the line of the first and the last two."""
        knots, rates = np.asarray(self.scores), np.asarray(self.log10_rates)
        slopes = (np.diff(rates) / np.diff(knots))[[0, -1]] * _FAR
        (first, last), ends = rates[[0, -1]] + slopes * (-1, 1), knots[[0, -1]] + (-_FAR, _FAR)
        return np.array([ends[0], *knots, ends[1]]), np.array([first, *rates, last])

    @cached_property
    def _promise(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Similarity levels, rising, and log10 of their false match rates, falling."""
        points = ((0.0, 0.0), (50.0, float(np.log10(self.equal_error_rate))), *PROMISE)
        return np.array([p[0] for p in points]), np.array([p[1] for p in points])
