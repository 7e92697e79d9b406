"""The scores of two embedders → one: what one network takes for alike, the other may tell apart.

Each embedder's score is relative to what strangers get (`likeness.vision.scoring`), so they are of one kind, and their
weighted sum is a score again: fusion at score level by the sum rule (Kittler, Hatef, Duin, Matas, "On combining
classifiers", PAMI 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.vision.scoring import PairScorer, Profile, Scorer


@dataclass(frozen=True, slots=True, eq=False)
class FusedProfile:
    """Faces as each embedder's scorer sees them."""

    parts: tuple[Profile, ...]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> "FusedProfile":
        return FusedProfile(tuple(part[rows] for part in self.parts))

    @staticmethod
    def joined(profiles: Sequence["FusedProfile"]) -> "FusedProfile":
        """The faces of several profiles, one behind the other; there is at least one."""
        return FusedProfile(tuple(map(Profile.joined, zip(*(each.parts for each in profiles), strict=True))))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One embedder's share: how many numbers its vectors have (of the last embedder: any number), who scores them, and
    how much that counts.
    """

    size: int
    scorer: Scorer
    weight: float = 1.0


class FusedScorer(PairScorer[FusedProfile]):
    """Says how alike faces are by the vectors of several embedders, or of one.

    A face's vector is that of the embedders one behind the other, in the order of `parts`. Two faces score without end
    where an embedder gives them the same direction. ValueError for no parts, and for weights that are not positive.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts or min(part.weight for part in parts) <= 0:
            raise ValueError("an embedder's weight must be above 0")
        self._parts = tuple(parts)
        self._ends = np.cumsum([part.size for part in parts])[:-1]

    def profile(self, vectors: NDArray[np.float32]) -> FusedProfile:
        """`vectors` (N, D) with what the embedders' strangers say of them."""
        own = np.split(vectors, self._ends, axis=1)
        return FusedProfile(tuple(part.scorer.profile(some) for part, some in zip(self._parts, own, strict=True)))

    def compare(self, a: FusedProfile, b: FusedProfile) -> NDArray[np.float64]:
        """Scores (Na, Nb) of every face of `a` with every face of `b`."""
        shares = [
            part.weight * part.scorer.compare(one, other)
            for part, one, other in zip(self._parts, a.parts, b.parts, strict=True)
        ]
        return np.asarray(sum(shares[1:], start=shares[0]))
