"""The service's way of drawing a box around a face, from the face's own points (specification section 5.3, decision
17).

Detectors disagree on where a face ends. The service's boxes hold the whole face, forehead to chin, and stand in fixed
relation to eyes and mouth; clients crop and draw by that. So the box is made anew from the points and the pose,
whichever detector found the face.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.faces import LANDMARK_TYPES, BoundingBox, Landmark, Pose

#: Height over width, in the face's own upright frame. The middle of 1.35 to 1.40, and a little more, as a slight roll
#: widens the box.
_HEIGHT_PER_WIDTH = 1.385
#: The distance between the eyes' centres over the box's width: typical, and the range a face of unusual proportions
#: may take.
_EYES_PER_WIDTH = 0.447
_LEAST_EYES_PER_WIDTH, _MOST_EYES_PER_WIDTH = 0.432, 0.463
#: The height from eyes to mouth over the box's width: 1.065 times the above, as on the mean face.
_MOUTH_DROP_PER_WIDTH = 0.476
#: Where the eye line and the mouth line lie, as fractions of the height; the two are met as nearly as a face allows,
#: the eye line within its range.
_EYE_LINE, _MOUTH_LINE = 0.3875, 0.75
_HIGHEST_EYE_LINE, _LOWEST_EYE_LINE = 0.380, 0.395
#: How far the middle of the visible head moves off the middle of the eyes as the head yaws, over the eyes' distance:
#: follows from the mean face's outline, and gives the page's own sample (yaw -3.7, middle 0.05 eye distances to the
#: right of the eyes).
_SHIFT_PER_EYES = 0.4
#: Past this yaw or pitch no more is made up for what cannot be seen. Past this yaw the eyes' distance says little of
#: the head's size, and the drop from eyes to mouth says it alone.
_PROFILE_DEG = 45.0
#: Every landmark is at least this far inside, over the width: seen from the side, the nose is the face's edge.
_MARGIN = 0.04
_SMALLEST_FACE_PX = 1.0


def service_boxes(points: ArrayLike, poses: Sequence[Pose]) -> NDArray[np.float64]:
    """The boxes (N, 4), x1, y1, x2, y2 px, of faces known by their five points (N, 5, 2) px and poses; they may leave
    the photo.

    Sides are parallel to the photo's. A face turned in the picture's plane is taken as an ellipse, and its box is the
    one that just holds the ellipse: at a quarter turn width and height have changed places, and half-way the box is
    not blown up by corners without a face.
    """
    five = np.asarray(points, dtype=np.float64).reshape(-1, 5, 2)
    roll_rad, yaw_rad, pitch_rad = np.radians([(pose.roll, pose.yaw, pose.pitch) for pose in poses]).reshape(-1, 3).T
    across = np.stack([np.cos(roll_rad), np.sin(roll_rad)], axis=1)
    down = np.stack([-np.sin(roll_rad), np.cos(roll_rad)], axis=1)
    eyes, mouth = five[:, :2].mean(axis=1), five[:, 3:].mean(axis=1)
    spread_px = np.maximum(
        np.linalg.norm(five - five.mean(axis=1, keepdims=True), axis=2).mean(axis=1), _SMALLEST_FACE_PX / 4
    )
    # Of distances on a head turned by an angle one sees only the cosine.
    yaw_seen, pitch_seen = (
        np.cos(np.minimum(np.abs(angle), np.radians(_PROFILE_DEG))) for angle in (yaw_rad, pitch_rad)
    )
    eyes_px = np.maximum(((five[:, 1] - five[:, 0]) * across).sum(axis=1), 0.25 * spread_px) / yaw_seen
    drop_px = np.maximum(((mouth - eyes) * down).sum(axis=1), 0.25 * spread_px) / pitch_seen
    width_px = _widths(eyes_px, drop_px, np.abs(yaw_rad) > np.radians(_PROFILE_DEG))
    height_px = width_px * _HEIGHT_PER_WIDTH
    eye_line = _EYE_LINE + 0.5 * (_MOUTH_LINE - _EYE_LINE - drop_px / height_px)
    eye_line = np.clip(eye_line, _HIGHEST_EYE_LINE, _LOWEST_EYE_LINE)
    shift_px = -_SHIFT_PER_EYES * np.sin(2 * yaw_rad) * width_px * _EYES_PER_WIDTH
    centres = eyes + across * shift_px[:, np.newaxis] + down * ((0.5 - eye_line) * height_px)[:, np.newaxis]
    halves = 0.5 * np.sqrt((across * width_px[:, np.newaxis]) ** 2 + (down * height_px[:, np.newaxis]) ** 2)
    margins_px = _MARGIN * width_px[:, np.newaxis]
    low = np.minimum(centres - halves, five.min(axis=1) - margins_px)
    return np.concatenate([low, np.maximum(centres + halves, five.max(axis=1) + margins_px)], axis=1)


def _widths(
    eyes_px: NDArray[np.float64], drop_px: NDArray[np.float64], profile: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The boxes' widths (N,): what eyes and mouth say, meeting in the middle, and within what the eyes allow unless
    seen from the side.
    """
    by_eyes, by_drop = eyes_px / _EYES_PER_WIDTH, drop_px / _MOUTH_DROP_PER_WIDTH
    between = np.clip(np.sqrt(by_eyes * by_drop), eyes_px / _MOST_EYES_PER_WIDTH, eyes_px / _LEAST_EYES_PER_WIDTH)
    return np.where(profile, by_drop, between)


def bounding_box(box: ArrayLike, width_px: float, height_px: float) -> BoundingBox:
    """A box (4,), x1, y1, x2, y2 px, as ratios of a photo of the given size."""
    x1, y1, x2, y2 = (float(value) for value in np.asarray(box, dtype=np.float64))
    return BoundingBox(width=(x2 - x1) / width_px, height=(y2 - y1) / height_px, left=x1 / width_px, top=y1 / height_px)


def landmarks(points: ArrayLike, width_px: float, height_px: float) -> tuple[Landmark, ...]:
    """Five points (5, 2) px in the detector's order as the service's landmarks: its order, ratios of a photo of the
    given size.

    The detector's order is left eye, right eye, nose, left and right mouth corner.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = np.asarray(points, dtype=np.float64)
    in_order = (left_eye, right_eye, left_mouth, right_mouth, nose)
    return tuple(
        Landmark(type=name, x=float(x) / width_px, y=float(y) / height_px)
        for name, (x, y) in zip(LANDMARK_TYPES, in_order, strict=True)
    )
