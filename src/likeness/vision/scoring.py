"""Two vectors → a score: higher is more alike."""

import numpy as np
from numpy.typing import NDArray

#: Cosine from which two vectors are the same up to the rounding of single precision: their score is infinite.
IDENTICAL_COSINE = 1.0 - 1e-6


class Scorer:
    """The score of a face against others: the cosine of their vectors, infinite where they are the same."""

    def score(self, source: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of `source` (D,) against `targets` (N, D), both of unit length, as (N,); symmetric."""
        cosine = targets.astype(np.float64) @ source.astype(np.float64)
        return np.where(cosine >= IDENTICAL_COSINE, np.inf, cosine)
