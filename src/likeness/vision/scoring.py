"""Two vectors → a score: higher is more alike.

Blurred faces, children's faces and faces of groups that are rare in the training data are similar to many others. So a
cosine is normalised by the cosines that either face has to a *cohort*, vectors of no real person: adaptive symmetric
score normalisation (Matějka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition", Interspeech
2017, its second form). The cohort holds as many vectors for each group of people, and only the nearest to a face count,
so no label of a group is needed. `likeness calibrate` draws it; docs/accuracy.md reports its effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.vision.products import product, unit

#: Cosine from which two vectors are the same up to the rounding of single precision: their score is infinite.
IDENTICAL_COSINE = 1.0 - 1e-6
#: Directions and affinities are multiples of these, finer than the embedder's rounding, so that sums of their products
#: are exact in double precision (49 bits for a cosine, 53 for squares over 2,048 vectors of the cohort): scores do not
#: depend on what else is compared, nor on the order of additions.
_DIRECTION_STEP, _AFFINITY_STEP = 2.0**-24, 2.0**-21
#: How far a score of profiles in single precision may be from the exact one; measured, it is less than a tenth of this.
SINGLE_PRECISION_ERROR = 0.05
#: Faces compared at once, which bounds memory; more rows than 256, so that products use all processors.
_ROWS_AT_ONCE, _COLUMNS_AT_ONCE = 512, 2048


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Profile:
    """What the scorer computes of faces one by one.

    `directions` is (N, D) float64 of unit length; `affinities` (N, K) are the cosines to the K vectors of the cohort;
    `nearest` (N, k) says which k of these lie nearest to each face.
    """

    directions: NDArray[np.float64]
    affinities: NDArray[np.float64]
    nearest: NDArray[np.intp]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> "Profile":
        return Profile(self.directions[rows], self.affinities[rows], self.nearest[rows])

    def in_single_precision(self) -> "Profile":
        """The same faces as float32: `Scorer.compare` then takes half as long, see SINGLE_PRECISION_ERROR."""
        directions: NDArray[Any] = self.directions.astype(np.float32)
        affinities: NDArray[Any] = self.affinities.astype(np.float32)
        return Profile(directions, affinities, self.nearest)

    @staticmethod
    def joined(profiles: Sequence["Profile"]) -> "Profile":
        """The faces of several profiles."""
        return Profile(*(np.concatenate([getattr(each, name) for each in profiles]) for name in Profile.__slots__))


class Scorer:
    """Scores how alike faces are by the embedder's vectors.

    `cohort` is (K, D), any length; the `nearest` of it to either face normalise the cosine. Without a cohort the score
    is the cosine.
    """

    def __init__(self, cohort: NDArray[np.float32] | None = None, *, nearest: int = 0) -> None:
        if cohort is not None and not 2 <= nearest <= len(cohort):
            raise ValueError(f"{nearest} nearest of a cohort of {len(cohort)}: it must be from 2 to all of it")
        self._cohort = None if cohort is None else _multiples(unit(cohort.astype(np.float64)), _DIRECTION_STEP)
        self._nearest = nearest

    def profile(self, vectors: NDArray[np.float32]) -> Profile:
        """`vectors` (N, D), as the embedder makes them, with their cosines to the cohort."""
        directions = _multiples(unit(vectors.astype(np.float64)), _DIRECTION_STEP)
        if self._cohort is None:
            none = np.zeros((len(directions), 0))
            return Profile(directions, none, none.astype(np.intp))
        affinities = _multiples(product(directions, self._cohort.T), _AFFINITY_STEP)
        nearest = np.argpartition(-affinities, self._nearest - 1, axis=1)[:, : self._nearest]
        return Profile(directions, affinities, nearest)

    def compare(self, a: Profile, b: Profile) -> NDArray[np.float64]:
        """Scores (Na, Nb) of every face of `a` with every face of `b`."""
        scores = np.empty((len(a.directions), len(b.directions)), a.directions.dtype)
        for row in range(0, len(a.directions), _ROWS_AT_ONCE):
            rows = slice(row, row + _ROWS_AT_ONCE)
            for column in range(0, len(b.directions), _COLUMNS_AT_ONCE):
                columns = slice(column, column + _COLUMNS_AT_ONCE)
                scores[rows, columns] = self._block(a[rows], b[columns])
        return scores

    def score_pairs(
        self, vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Scores (P,) of the pairs `first[p]`, `second[p]` (P,), which index `vectors` (N, D).

        Memory does not grow with the number of pairs but for their scores.
        """
        faces = self.profile(vectors)
        return self.score_some(faces, faces, first, second)

    def score_some(
        self, a: Profile, b: Profile, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Scores (P,) of the faces `rows` (P,) of `a` with the faces `columns` (P,) of `b`, as `compare` has them."""
        scores = np.empty(len(rows))
        for start in range(0, len(a.directions), _ROWS_AT_ONCE):
            inside = np.flatnonzero((rows >= start) & (rows < start + _ROWS_AT_ONCE))
            used_rows, row = np.unique(rows[inside], return_inverse=True)
            used_columns, column = np.unique(columns[inside], return_inverse=True)
            scores[inside] = self.compare(a[used_rows], b[used_columns])[row, column]
        return scores

    def _block(self, a: Profile, b: Profile) -> NDArray[np.float64]:
        cosine = product(a.directions, b.directions.T)
        score: NDArray[np.float64] = cosine
        if self._cohort is not None:
            score = (_relative(cosine, a, b) + _relative(cosine.T, b, a).T) / 2
        return np.where(cosine >= IDENTICAL_COSINE, np.inf, score)


def _relative(cosine: NDArray[np.float64], a: Profile, b: Profile) -> NDArray[np.float64]:
    """How many standard deviations each cosine (Na, Nb) lies above those of a's face to the cohort near b's."""
    count = b.nearest.shape[1]
    chosen = np.zeros((b.affinities.shape[1], len(b.nearest)), b.affinities.dtype)
    chosen[b.nearest.T, np.arange(len(b.nearest))] = 1.0
    mean = product(a.affinities, chosen) / count
    variance = product(a.affinities * a.affinities, chosen) / count - mean * mean
    return np.asarray((cosine - mean) / np.sqrt(np.maximum(variance, 1e-12)))


def _multiples(values: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """`values` rounded to multiples of `step`."""
    return np.asarray(np.rint(values / step) * step)
