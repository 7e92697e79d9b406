"""Differences between the errors of cells, by the usual measures.

ISO/IEC 19795-10:2024 requires differentials with their uncertainty at stated thresholds. FMR differs by factors, so the
first two are ratios (Grother, "Demographic differentials in face recognition algorithms", NIST IR 8429); FDR is from de
Freitas Pereira and Marcel, "Fairness in biometrics", IEEE T-BIOM 2022; GARBE from Howard et al., arXiv:2203.05051.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The weight of FMR against FNMR in FDR and GARBE; their authors use one half by default.
_ALPHA = 0.5


@dataclass(frozen=True, slots=True)
class Differential:
    """The highest FMR of the cells over the geometric mean and over the lowest, None if a cell has no false match;
    `fdr` (1 means equality) and `garbe` (0 means equality) of FMR and, if known, FNMR. `interval` is the 95 % interval
    of the first, if known; its end is None if resampling leaves a cell without a false match.
    """

    max_over_geometric_mean: float | None
    max_over_min: float | None
    fdr: float
    garbe: float
    interval: tuple[float, float | None] | None = None


def differential(fmr: Sequence[float], fnmr: Sequence[float], drawn: NDArray[np.float64] | None = None) -> Differential:
    """The differential of `fmr` of two or more cells, and of `fnmr` of those that have genuine pairs; with fewer than
    two of these, `fdr` and `garbe` use only FMR. `drawn` (cells, rounds) is FMR with the people of each cell
    resampled.
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
    """The highest of the `rates` (cells, ...) over their geometric mean; infinite if one is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = rates.max(axis=0) / np.exp(np.log(rates).mean(axis=0))
    return np.where(rates.min(axis=0) > 0, ratios, np.inf)


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float | None]:
    low, high = np.quantile(_over_geometric_mean(drawn), (0.025, 0.975), method="nearest")
    return float(low), float(high) if np.isfinite(high) else None


def _gini(values: NDArray[np.float64]) -> float:
    """The Gini coefficient with the small-sample correction; 0 if all values are 0."""
    count, mean = len(values), float(values.mean())
    if mean == 0:
        return 0.0
    differences = float(np.abs(values[:, np.newaxis] - values).sum())
    return count / (count - 1) * differences / (2 * count**2 * mean)
