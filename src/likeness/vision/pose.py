"""How a head is turned: roll, yaw and pitch from the mesh, or from a detector's five points if no mesh fits.

Signs as the service's (specification section 5.5): roll is positive clockwise in the picture, yaw negative if the nose
points to the picture's left, pitch positive if the face looks up. A head is taken to be pitched first, then yawed about
the vertical, then rolled in the picture's plane, so only roll turns with the photo.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.faces import Pose
from likeness.vision.mesh_model import MEAN_FIVE, MEAN_RIGID, RIGID

_RIGID_MIDDLE: NDArray[np.float64] = MEAN_RIGID.mean(axis=0)
_MEAN_FACE: NDArray[np.float64] = MEAN_RIGID - _RIGID_MIDDLE
_MEAN_SPREAD = float((_MEAN_FACE**2).sum())
#: Brings five points seen (5, 2) to the linear map (3, 2) by which the mean face is seen so, in least squares.
_FROM_FIVE: NDArray[np.float64] = np.linalg.pinv(MEAN_FIVE - MEAN_FIVE.mean(axis=0))


def pose_of_mesh(mesh: NDArray[np.floating]) -> Pose:
    """The pose of a mesh, (468, 3) px, by rotating the mean face onto it: 55 points that no expression moves."""
    return _pose(_rotation(mesh[RIGID].astype(np.float64)))


def pose_of_points(points: ArrayLike) -> Pose:
    """The pose of a detector's five points, (5, 2) px: the coarser answer, for faces that no mesh fits.

    The rotation nearest to the linear map by which the mean face's five points are seen in parallel projection.
    """
    five = np.asarray(points, dtype=np.float64)
    u, _, vt = np.linalg.svd((_FROM_FIVE @ (five - five.mean(axis=0))).T, full_matrices=False)
    right_and_down = u @ vt
    return _pose(np.vstack([right_and_down, np.cross(*right_and_down)]))


def derotated(mesh: NDArray[np.floating], places: Sequence[int]) -> NDArray[np.float64]:
    """Points `places` of a mesh (468, 3) px, turned to face the camera, in units of the distance between the eyes'
    centres of the mean face: (places, 3).
    """
    rigid = mesh[RIGID].astype(np.float64)
    middle = rigid.mean(axis=0)
    scale = math.sqrt(_MEAN_SPREAD / max(float(((rigid - middle) ** 2).sum()), 1e-12))
    return np.asarray((mesh[list(places)] - middle) @ _rotation(rigid) * scale + _RIGID_MIDDLE)


def _rotation(observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation (3, 3) that brings the mean face nearest to `observed` (55, 3) (Kabsch, 1976)."""
    # The mean face is centred, so where `observed` lies does not matter.
    u, _, vt = np.linalg.svd(_MEAN_FACE.T @ observed)
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    return np.asarray((u @ vt).T)


def _pose(rotation: NDArray[np.float64]) -> Pose:
    """The angles of a rotation (3, 3) of the mean face."""
    (right, _, _), (down, _, _), (away, below, ahead) = rotation.tolist()
    return Pose(
        roll=math.degrees(math.atan2(down, right)),
        yaw=math.degrees(math.asin(min(max(away, -1.0), 1.0))),
        pitch=-math.degrees(math.atan2(below, ahead)),
    )
