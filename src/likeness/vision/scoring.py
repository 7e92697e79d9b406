"""Two vectors → a score: higher is more alike.

The cosine of two faces depends on more than whether they are one person: a blurred face, a child's, a face of a group
that the network saw little of is near to many strangers. So a score is made in three steps.

- Directions are first turned by a metric that counts less what differs between photos of one person (within-class
  covariance normalisation, regularised: Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for SVM-based
  speaker recognition", Interspeech 2006). Long vectors lose what all faces have in common, and most of what hardly
  differs between any (principal components), on the same way.
- A face's affinity to another is made relative to the affinities that strangers have to it: adaptive symmetric score
  normalisation (Matějka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition", Interspeech
  2017, its second form). The strangers are vectors drawn from a mixture fitted to faces; none is a person's.
- A face that the network is in doubt of is a small, blurred, covered or turned one, and even its own person's photos
  score low. It is given credit for that, by how short its vector is (`likeness.vision.embedding`).

`likeness calibrate` learns metric and strangers; docs/accuracy.md says what each step is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.vision.embedding import Lengths
from likeness.vision.products import product

#: Cosine from which two vectors are the same up to the rounding of single precision: their score is infinite.
IDENTICAL_COSINE = 1.0 - 1e-6

#: Added to what a vector lacks to length one, so that views that agree wholly, or a single view, count as finite.
_LEAST_DISAGREEMENT = 1e-4

#: Faces compared at once in `Scorer.compare`, which bounds its memory.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Faces as the scorer sees them.

    `directions` is (N, D) float64 of unit length, turned by the metric; `doubts` (N,) are larger for shorter vectors;
    `affinities` (N, K) are those to the K strangers; `nearest` (N, k) says which k strangers lie nearest to each face.
    """

    directions: NDArray[np.float64]
    doubts: NDArray[np.float64]
    affinities: NDArray[np.float64]
    nearest: NDArray[np.intp]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> "Profile":
        return Profile(self.directions[rows], self.doubts[rows], self.affinities[rows], self.nearest[rows])

    @staticmethod
    def joined(profiles: Sequence["Profile"]) -> "Profile":
        """The faces of several profiles, one behind the other."""
        return Profile(*(np.concatenate([getattr(each, name) for each in profiles]) for name in Profile.__slots__))


class Scorer:
    """Says how alike faces are by the embedder's vectors.

    `strangers` is (K, E), any length; `nearest` is how many of them, the nearest to the one face, judge the other.
    `metric` (D, E) turns directions, less `centre` (D,) where there is one, before they are compared; the strangers lie
    in the turned space already. `credit` is how much the score gains for each unit by which the two faces' doubts are
    larger: the logarithm of what a vector lacks to length one where `lengths` are "agreement", minus the logarithm of
    its length where they are "certainty". Without strangers the score is the cosine, and nothing is credited.
    """

    def __init__(
        self,
        strangers: NDArray[np.float32] | None = None,
        *,
        nearest: int = 0,
        metric: NDArray[np.float32] | None = None,
        centre: NDArray[np.float32] | None = None,
        credit: float = 0.0,
        lengths: Lengths = "agreement",
    ) -> None:
        if strangers is not None and not 2 <= nearest <= len(strangers):
            raise ValueError(f"{nearest} nearest of {len(strangers)} strangers: from 2 to all of them may be asked")
        if strangers is not None and metric is not None and metric.shape[1:] != strangers.shape[1:]:
            raise ValueError(f"a metric of {metric.shape} for strangers of {strangers.shape[1]} numbers each")
        if centre is not None and (metric is None or metric.shape[0] != len(centre)):
            raise ValueError(f"a centre of {len(centre)} numbers needs a metric of as many rows")
        self._strangers = None if strangers is None else _unit(strangers.astype(np.float64))
        self._nearest = nearest
        self._metric = None if metric is None else metric.astype(np.float64)
        self._centre = None if centre is None else centre.astype(np.float64)
        self._credit = credit
        self._lengths = lengths

    def profile(self, vectors: NDArray[np.float32]) -> Profile:
        """`vectors` (N, D), as `mean_views` makes them, with what their strangers say of them."""
        exact = vectors.astype(np.float64)
        doubts = self._doubts(np.linalg.norm(exact, axis=1))
        if self._centre is not None:
            exact = _unit(exact) - self._centre
        directions = _unit(exact if self._metric is None else product(exact, self._metric))
        if self._strangers is None:
            none = np.zeros((len(exact), 0))
            return Profile(directions, doubts, none, none.astype(np.intp))
        affinities = _affinity(product(directions, self._strangers.T))
        nearest = np.argpartition(-affinities, self._nearest - 1, axis=1)[:, : self._nearest]
        return Profile(directions, doubts, affinities, nearest)

    def _doubts(self, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._lengths == "certainty":
            return -np.log(np.maximum(lengths, 1e-12))
        return np.log(np.maximum(1.0 - lengths, 0.0) + _LEAST_DISAGREEMENT)

    def compare(self, a: Profile, b: Profile) -> NDArray[np.float64]:
        """Scores (Na, Nb) of every face of `a` with every face of `b`."""
        starts = range(0, len(a.directions), _ROWS_AT_ONCE)
        rows = [self._block(a[start : start + _ROWS_AT_ONCE], b) for start in starts]
        return np.concatenate([np.zeros((0, len(b.directions))), *rows])

    def score(self, source: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (N,) of the vector `source` (D,) with each of `targets` (N, D).

        Symmetric up to rounding; infinite where two vectors have the same direction, finite everywhere else.
        """
        scores: NDArray[np.float64] = self.compare(self.profile(source[np.newaxis]), self.profile(targets))[0]
        return scores

    def score_pairs(
        self, vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Scores (P,) of the pairs `first[p]`, `second[p]` (P,), which index `vectors` (N, D).

        Each vector is looked at once, and memory does not grow with the number of pairs but for their scores.
        """
        faces = self.profile(vectors)
        scores = np.empty(len(first))
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            inside = np.flatnonzero((first >= start) & (first < start + _ROWS_AT_ONCE))
            columns, places = np.unique(second[inside], return_inverse=True)
            scores[inside] = self.compare(faces[rows], faces[columns])[first[inside] - start, places]
        return scores

    def _block(self, a: Profile, b: Profile) -> NDArray[np.float64]:
        cosine = product(a.directions, b.directions.T)
        score = cosine
        if self._strangers is not None:
            affinity = _affinity(cosine)
            score = (_relative(affinity, a, b) + _relative(affinity.T, b, a).T) / 2
            score += self._credit * (a.doubts[:, np.newaxis] + b.doubts)
        return np.where(cosine >= IDENTICAL_COSINE, np.inf, score)


def _relative(affinity: NDArray[np.float64], a: Profile, b: Profile) -> NDArray[np.float64]:
    """How many standard deviations each affinity (Na, Nb) lies above those of a's face to the strangers near b's."""
    if len(b.nearest) == 1 or len(a.affinities) == 1:
        near = a.affinities[:, b.nearest]  # (Na, Nb, k)
        mean = near.sum(axis=2) / near.shape[2]
        near -= mean[..., np.newaxis]
        return np.asarray((affinity - mean) / np.sqrt(np.einsum("abk,abk->ab", near, near) / near.shape[2]))
    # The same by matrix products, for many faces: the mean and the mean square over the chosen strangers.
    chosen = np.zeros((b.affinities.shape[1], len(b.nearest)))
    chosen[b.nearest.T, np.arange(len(b.nearest))] = 1.0 / b.nearest.shape[1]
    # Affinities lie between -log 4 and about 7, so the difference of the mean squares keeps ten digits.
    mean = a.affinities @ chosen
    variance = (a.affinities * a.affinities) @ chosen - mean * mean
    return np.asarray((affinity - mean) / np.sqrt(np.maximum(variance, 1e-12)))


def _affinity(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the logarithm of the squared distance of unit vectors; grows evenly as faces become alike."""
    affinity: NDArray[np.float64] = -np.log(np.maximum(2.0 - 2.0 * cosine, 1e-7))
    return affinity


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
