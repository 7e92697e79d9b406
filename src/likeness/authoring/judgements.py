"""What is wrong with points and vectors as such, for packs that are made and packs that are checked."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

#: Above this decidability vectors distinguish people; below it, no choice that was tried is right.
LEAST_DECIDABILITY = 2.0
#: Vectors of different portraits that differ by less than this, over their length, are one vector.
_CONSTANT = 1e-3
#: The share of faces whose points may be out of order by chance: in a profile, or in a photo that is not upright.
_ODD_SHARE = 0.5

Points = NDArray[np.float64] | NDArray[np.float32]

_ORDER = "left eye, right eye, nose, left corner of the mouth, right corner, left as seen in the picture"


def _left_of(first: int, second: int) -> Callable[[Points], bool]:
    return lambda points: bool(points[first, 0] < points[second, 0])


#: What holds of the points of an upright face, and what they are if it does not.
_RULES: tuple[tuple[Callable[[Points], bool], str], ...] = (
    (lambda points: _left_of(0, 1)(points) or _left_of(3, 4)(points), "mirrored points"),
    (_left_of(0, 1), "points of which the first, the left eye, is right of the second, the right eye"),
    (_left_of(3, 4), "points of which the fourth, the left corner of the mouth, is right of the fifth, the right one"),
    (lambda points: points[:2, 1].mean() < points[2, 1], "points of which the first two, the eyes, are below the nose"),
    (lambda points: points[2, 1] < points[3:, 1].mean(), "points of which the third, the nose, is below the mouth"),
)


def order_fault(points: Sequence[Points]) -> str:
    """The disorder of the points (5, 2) of most upright faces, such as "mirrored points: ...", "" for none."""
    if not _broken(points):
        return ""
    if sum(map(_lies, points)) > _ODD_SHARE * len(points) and not _broken([each[:, ::-1] for each in points]):
        return "points with x and y exchanged: x comes first"
    return f"{_broken(points)}: the order is {_ORDER}"


def _lies(points: Points) -> bool:
    """Whether the mouth is beside the eyes, rather than above or below them."""
    across, down = np.abs(points[3:].mean(axis=0) - points[:2].mean(axis=0))
    return bool(across > down)


def _broken(points: Sequence[Points]) -> str:
    """What the first rule that does not hold for most faces says, "" if all do."""
    return next(
        (said for holds, said in _RULES if sum(not holds(each) for each in points) > _ODD_SHARE * len(points)), ""
    )


def points_fault(points: Sequence[Points]) -> str:
    """What is wrong with the points (5, 2) of a detector on upright portraits, "" for nothing."""
    if any(not np.isfinite(each).all() for each in points):
        return "gives points that are NaN"
    disorder = order_fault(points)
    return f"gives {disorder}" if disorder else ""


def vectors_fault(vectors: NDArray[np.float32]) -> str:
    """What is wrong with the vectors (N, D) of different faces, whoever they are of, "" for nothing."""
    if not np.isfinite(vectors).all():
        return "gives vectors that are NaN"
    longest = float(np.linalg.norm(vectors, axis=1).max())
    if float(np.abs(vectors - vectors[0]).max()) <= _CONSTANT * max(longest, 1e-9):
        return "gives the same vector for every face"
    return ""
