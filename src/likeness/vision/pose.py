"""How a head is turned: roll, yaw and pitch from the mesh, or from a detector's five points where no mesh fits.

Signs as the service's (specification section 5.5): roll is positive clockwise in the picture, yaw is negative when
the nose points to the picture's left, pitch is positive when the face looks up. Roll turns with the photo; yaw and
pitch do not change with it: a head is taken to be pitched first, then yawed about the vertical, then rolled in the
picture's plane.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.faces import Pose
from likeness.vision.mesh_model import MEAN_FIVE, MEAN_RIGID, RIGID

_STEADYING = 0.2
_RIGID_MIDDLE: NDArray[np.float64] = MEAN_RIGID.mean(axis=0)
_MEAN_FACE: NDArray[np.float64] = MEAN_RIGID - _RIGID_MIDDLE
_MEAN_SPREAD = float((_MEAN_FACE**2).sum())


def poses_of_meshes(meshes: ArrayLike) -> list[Pose]:
    """The poses of meshes, (N, 468, 3) px, by turning the mean face onto each (Kabsch 1976): 55 points that no
    expression moves.
    """
    observed = np.asarray(meshes).reshape(-1, 468, 3)[:, RIGID].astype(np.float64)
    return [_pose(rotation) for rotation in _rotations(observed)]


def poses_of_points(points: ArrayLike) -> list[Pose]:
    """The poses of a detector's five points, (N, 5, 2) px: the coarser answer, for faces that no mesh fits.

    The mean face's five points, seen in parallel projection. Once the photo's turn is taken out, heights change with
    pitch alone, and yaw shows in how far the nose stands from the middle of the eyes.
    """
    return [_pose_of_five(five) for five in np.asarray(points, dtype=np.float64).reshape(-1, 5, 2)]


def _pose_of_five(five: NDArray[np.float64]) -> Pose:
    # However the head is pitched and yawed, the lines between the eyes and between the mouth's corners stay level
    # with it. Seen from the side they are short; what leads from eyes to mouth, turned by a right angle, then
    # steadies them.
    down = five[3:].mean(axis=0) - five[:2].mean(axis=0)
    across = (five[1] - five[0]) + (five[4] - five[3]) + _STEADYING * np.array([down[1], -down[0]])
    roll_rad = float(np.arctan2(across[1], across[0]))
    cosine, sine = np.cos(roll_rad), np.sin(roll_rad)
    upright = five @ np.array([[cosine, -sine], [sine, cosine]])
    eyes, nose, mouth = upright[:2].mean(axis=0), upright[2], upright[3:].mean(axis=0)
    nose_y, nose_z = MEAN_FIVE[2, 1:]
    mouth_y, mouth_z = MEAN_FIVE[3:, 1:].mean(axis=0)
    # (nose_y + nose_z tan) / (mouth_y + mouth_z tan) = ratio of heights under the eyes, solved for the tangent of the
    # pitch.
    ratio = (nose[1] - eyes[1]) / max(mouth[1] - eyes[1], 1e-6)
    pitch_rad = float(np.arctan2(nose_y - mouth_y * ratio, mouth_z * ratio - nose_z))
    # After the pitch, the nose stands this far before the eyes.
    depth = nose_y * np.sin(pitch_rad) - nose_z * np.cos(pitch_rad)
    yaw_rad = float(np.arctan2((nose - eyes)[0], max(upright[1, 0] - upright[0, 0], 1e-6) * depth))
    return Pose(roll=np.degrees(roll_rad), yaw=np.degrees(yaw_rad), pitch=np.degrees(pitch_rad))


def derotated(meshes: ArrayLike, places: Sequence[int]) -> NDArray[np.float64]:
    """Points `places` of meshes (N, 468, 3) px, turned to face the camera, in units of the distance between the eyes'
    centres of the mean face: (N, places, 3).
    """
    observed = np.asarray(meshes).reshape(-1, 468, 3)
    rigid = observed[:, RIGID].astype(np.float64)
    middle = rigid.mean(axis=1, keepdims=True)
    scales = np.sqrt(_MEAN_SPREAD / np.maximum(((rigid - middle) ** 2).sum(axis=(1, 2)), 1e-12))
    upright = (observed[:, list(places)] - middle) @ _rotations(rigid)
    return np.asarray(upright * scales[:, np.newaxis, np.newaxis] + _RIGID_MIDDLE)


def _rotations(observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotations (N, 3, 3) that bring the mean face nearest to `observed` (N, 55, 3); where the product of the two
    turns inside out, the least of its three axes goes the other way round.
    """
    # The mean face is centred, so where `observed` lies does not matter.
    u, _, vt = np.linalg.svd(_MEAN_FACE.T @ observed)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, np.newaxis]
    return np.asarray((u @ vt).transpose(0, 2, 1))


def _pose(rotation: NDArray[np.float64]) -> Pose:
    (right, _, _), (down, _, _), (away, below, ahead) = rotation.tolist()
    return Pose(
        roll=math.degrees(math.atan2(down, right)),
        yaw=math.degrees(math.asin(min(max(away, -1.0), 1.0))),
        pitch=-math.degrees(math.atan2(below, ahead)),
    )
