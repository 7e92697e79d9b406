"""Differences between the errors of cells, by the usual measures.

ISO/IEC 19795-10:2024 asks for differentials with their uncertainty at stated thresholds. FMR differs by factors, so the
first two are ratios (Grother, "Demographic differentials in face recognition algorithms", NIST IR 8429); FDR is that of
de Freitas Pereira and Marcel, "Fairness in biometrics", IEEE T-BIOM 2022; GARBE that of Howard et al.,
arXiv:2203.05051.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The weight of false matches against misses in FDR and GARBE; their authors start from one half.
_ALPHA = 0.5


@dataclass(frozen=True, slots=True)
class Differential:
    """Of the cells' FMR the highest over the geometric mean and over the lowest, None where a cell has no false match;
    `fdr` (1 is even) and `garbe` (0 is even) of FMR and, where it is known, FNMR. `interval` is the 95 % interval of
    the first, where it is known; its end is None if resampled people leave a cell without a false match.
    """

    max_over_geometric_mean: float | None
    max_over_min: float | None
    fdr: float
    garbe: float
    interval: tuple[float, float | None] | None = None


def differential(fmr: Sequence[float], fnmr: Sequence[float], drawn: NDArray[np.float64] | None = None) -> Differential:
    """The differential of the cells' `fmr`, of which there are two or more, and of `fnmr`, of the cells that have
    genuine pairs; with fewer than two of these only FMR counts in `fdr` and `garbe`. `drawn` (cells, rounds) is FMR
    with the people of each cell resampled.
    """
    rates, misses = np.asarray(fmr, dtype=np.float64), np.asarray(fnmr, dtype=np.float64)
    all_seen = bool(np.all(rates > 0))
    alpha = _ALPHA if len(misses) >= 2 else 1.0
    spread = np.ptp(misses) if len(misses) >= 2 else 0.0
    return Differential(
        max_over_geometric_mean=float(_over_geometric_mean(rates)) if all_seen else None,
        max_over_min=float(rates.max() / rates.min()) if all_seen else None,
        fdr=float(1.0 - (alpha * np.ptp(rates) + (1.0 - alpha) * spread)),
        garbe=float(alpha * _gini(rates) + (1.0 - alpha) * (_gini(misses) if len(misses) >= 2 else 0.0)),
        interval=_interval(drawn) if drawn is not None and all_seen else None,
    )


def _over_geometric_mean(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest of the `rates` (cells, ...) over their geometric mean; infinite where one is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = rates.max(axis=0) / np.exp(np.log(rates).mean(axis=0))
    return np.where(rates.min(axis=0) > 0, ratios, np.inf)


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float | None]:
    low, high = np.quantile(_over_geometric_mean(drawn), (0.025, 0.975), method="nearest")
    return float(low), float(high) if np.isfinite(high) else None


def _gini(values: NDArray[np.float64]) -> float:
    """The Gini coefficient with the correction for few values; 0 where all are 0."""
    count, mean = len(values), float(values.mean())
    if mean == 0:
        return 0.0
    differences = float(np.abs(values[:, np.newaxis] - values).sum())
    return count / (count - 1) * differences / (2 * count**2 * mean)
