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


def pose_of_mesh(mesh: NDArray[np.floating]) -> Pose:
    """The pose of a mesh, (468, 3) px, by turning the mean face onto it (Kabsch 1976): 55 points that no expression
    moves.
    """
    (right, _, _), (down, _, _), (away, below, ahead) = _rotation(mesh[RIGID].astype(np.float64)).tolist()
    return Pose(
        roll=math.degrees(math.atan2(down, right)),
        yaw=math.degrees(math.asin(min(max(away, -1.0), 1.0))),
        pitch=-math.degrees(math.atan2(below, ahead)),
    )


def pose_of_points(points: ArrayLike) -> Pose:
    """The pose of a detector's five points, (5, 2) px: the coarser answer, for faces that no mesh fits.

    The mean face's five points, seen in parallel projection. Once the photo's turn is taken out, heights change with
    pitch alone, and yaw shows in how far the nose stands from the middle of the eyes.
    """
    five = np.asarray(points, dtype=np.float64)
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


def derotated(mesh: NDArray[np.floating], places: Sequence[int]) -> NDArray[np.float64]:
    """Points `places` of a mesh (468, 3) px, turned to face the camera, in units of the distance between the eyes'
    centres of the mean face: (places, 3).
    """
    rigid = mesh[RIGID].astype(np.float64)
    middle = rigid.mean(axis=0)
    scale = math.sqrt(_MEAN_SPREAD / max(float(((rigid - middle) ** 2).sum()), 1e-12))
    return np.asarray((mesh[list(places)] - middle) @ _rotation(rigid) * scale + _RIGID_MIDDLE)


def _rotation(observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation (3, 3) that brings the mean face nearest to `observed` (55, 3); where the product of the two turns
    inside out, the least of its three axes goes the other way round.
    """
    # The mean face is centred, so where `observed` lies does not matter.
    u, _, vt = np.linalg.svd(_MEAN_FACE.T @ observed)
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    return np.asarray((u @ vt).T)
