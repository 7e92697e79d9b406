"""How well vectors distinguish people."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Separation:
    """The cosines of pairs of one person and of two.

    `decidability` is the distance of their means in standard deviations (d', Daugman, "The importance of being random:
    statistical principles of iris recognition", Pattern Recognition 2003, section 5); `gap` is the lowest cosine of one
    person less the highest of two.
    """

    decidability: float
    genuine: float
    impostor: float
    gap: float


def separation(vectors: NDArray[np.float32], people: NDArray[np.str_], photos: NDArray[np.int64]) -> Separation:
    """The separation of `vectors` (N, D) of `people` (N,) in `photos` (N,); pairs within one photo do not count."""
    if not np.isfinite(vectors).all():
        return Separation(0.0, 0.0, 0.0, -2.0)
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = np.asarray(units @ units.T, np.float64)
    first, second = np.triu_indices(len(vectors), 1)
    apart, same = photos[first] != photos[second], people[first] == people[second]
    genuine, impostor = cosines[first, second][apart & same], cosines[first, second][apart & ~same]
    spread = float(np.sqrt((genuine.var() + impostor.var()) / 2))
    distance = float(genuine.mean() - impostor.mean())
    return Separation(
        distance / max(spread, 1e-6), float(genuine.mean()), float(impostor.mean()), genuine.min() - impostor.max()
    )
