"""Synthetic faces with known poses: the mean face rotated in space, in parallel projection."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.vision.mesh_model import MEAN_FIVE, MEAN_RIGID, RIGID


def rotation(roll_deg: float, yaw_deg: float, pitch_deg: float) -> NDArray[np.float64]:
    """Pitch about the face's own horizontal, then yaw, then roll; signs as specification section 5.5, written out by
    hand.
    """
    roll, yaw, pitch = np.radians([roll_deg, yaw_deg, pitch_deg])
    up = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    aside = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    around = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return around @ aside @ up


def turned_mesh(
    roll_deg: float = 0.0,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    *,
    eyes_px: float = 60.0,
    at: ArrayLike = (0, 0),
) -> NDArray[np.float64]:
    """A mesh (468, 3) px whose rigid points are the mean face's; its other points are zero."""
    mesh = np.zeros((468, 3))
    mesh[RIGID] = (MEAN_RIGID @ rotation(roll_deg, yaw_deg, pitch_deg).T) * eyes_px + (
        *np.asarray(at, dtype=float),
        0.0,
    )
    return mesh


def turned_points(
    roll_deg: float = 0.0,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    *,
    eyes_px: float = 60.0,
    at: ArrayLike = (0, 0),
) -> NDArray[np.float64]:
    """Five points (5, 2) px: left eye, right eye, nose, mouth corners."""
    turned = MEAN_FIVE @ rotation(roll_deg, yaw_deg, pitch_deg).T
    return np.asarray(turned[:, :2] * eyes_px + np.asarray(at, dtype=float))
