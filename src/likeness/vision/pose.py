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
#: Newton's iteration: the determinant, over the norm to the third, under which a matrix counts as singular (0.19 is
#: that of a rotation); when it has arrived, and the steps that it may take, six being usual.
_LEAST_VOLUME, _STILL, _MOST_STEPS = 1e-9, 1e-9, 30
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
    """The rotations (N, 3, 3) that bring the mean face nearest to `observed` (N, 55, 3)."""
    # The mean face is centred, so where `observed` lies does not matter.
    products = _MEAN_FACE.T @ observed
    return np.array([_nearest_rotation(product) for product in products]).reshape(-1, 3, 3).transpose(0, 2, 1)


def _nearest_rotation(matrix: NDArray[np.float64]) -> Sequence[Sequence[float]]:
    """The rotation nearest to a matrix (3, 3): its orthogonal factor, unless it is flat or turns inside out.

    By Newton's iteration, X -> (X + inverse of X transposed) / 2, scaled by the determinant (Higham, "Computing the
    polar decomposition - with applications", SIAM 1986). As plain numbers, since a singular value decomposition of nine
    numbers takes LAPACK ten times as long when other work has pushed it out of the caches.
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    least = _LEAST_VOLUME * math.hypot(a, b, c, d, e, f, g, h, i) ** 3
    for _ in range(_MOST_STEPS):
        # Cofactors: the determinant times the inverse, transposed.
        aa, bb, cc = e * i - f * h, f * g - d * i, d * h - e * g
        volume = a * aa + b * bb + c * cc
        if volume <= least:
            break
        dd, ee, ff = c * h - b * i, a * i - c * g, b * g - a * h
        gg, hh, ii = b * f - c * e, c * d - a * f, a * e - b * d
        scale = volume ** (-1 / 3)
        half, other = 0.5 * scale, 0.5 / (scale * volume)
        turned = (
            (half * a + other * aa, half * b + other * bb, half * c + other * cc),
            (half * d + other * dd, half * e + other * ee, half * f + other * ff),
            (half * g + other * gg, half * h + other * hh, half * i + other * ii),
        )
        moved = abs(turned[0][0] - scale * a) + abs(turned[1][1] - scale * e) + abs(turned[2][2] - scale * i)
        (a, b, c), (d, e, f), (g, h, i) = turned
        if moved < _STILL and abs(scale - 1) < _STILL:
            return turned
        least = 0.0
    return _by_decomposition(matrix)


def _by_decomposition(matrix: NDArray[np.float64]) -> Sequence[Sequence[float]]:
    """The same of any matrix: where it turns inside out, the least of the three axes goes the other way round."""
    u, _, vt = np.linalg.svd(matrix)
    if np.linalg.det(u @ vt) < 0:
        u[:, 2] *= -1
    found: list[list[float]] = (u @ vt).tolist()
    return found


def _pose(rotation: NDArray[np.float64]) -> Pose:
    (right, _, _), (down, _, _), (away, below, ahead) = rotation.tolist()
    return Pose(
        roll=math.degrees(math.atan2(down, right)),
        yaw=math.degrees(math.asin(min(max(away, -1.0), 1.0))),
        pitch=-math.degrees(math.atan2(below, ahead)),
    )
