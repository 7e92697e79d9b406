"""What is wrong with points and vectors as such, for packs that are made and packs that are checked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Above this decidability vectors distinguish people; below it, no choice that was tried is right.
LEAST_DECIDABILITY = 2.0
#: Vectors of different portraits that differ by less than this, over their length, are one vector.
_CONSTANT = 1e-3
#: The share of faces whose points may be exchanged by chance: in a profile, or in a mirrored photo.
_MIRRORED_SHARE = 0.5

Points = NDArray[np.float64] | NDArray[np.float32]


def is_mirrored(points: Points) -> bool:
    """Whether the eyes and the corners of the mouth of five points (5, 2) are exchanged on an upright face."""
    return bool(points[0, 0] > points[1, 0] and points[3, 0] > points[4, 0])


def points_fault(points: Sequence[Points]) -> str:
    """What is wrong with the points (5, 2) of a detector on upright portraits, "" for nothing."""
    if any(not np.isfinite(each).all() for each in points):
        return "gives points that are NaN"
    if sum(map(is_mirrored, points)) > _MIRRORED_SHARE * len(points):
        return "gives mirrored points: the left eye as seen in the picture must come first"
    return ""


def vectors_fault(vectors: NDArray[np.float32]) -> str:
    """What is wrong with the vectors (N, D) of different faces, whoever they are of, "" for nothing."""
    if not np.isfinite(vectors).all():
        return "gives vectors that are NaN"
    longest = float(np.linalg.norm(vectors, axis=1).max())
    if float(np.abs(vectors - vectors[0]).max()) <= _CONSTANT * max(longest, 1e-9):
        return "gives the same vector for every face"
    return ""
