"""The service's box around a face, from the face's own points (specification section 5.3, decision 17).

Detectors disagree on where a face ends. The service's boxes hold the whole face, forehead to chin, in fixed relation to
eyes and mouth, and clients crop and draw by that. So the box is made from the points and the pose.
"""

import cmath
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.faces import LANDMARK_TYPES, BoundingBox, Landmark, Pose

#: Height over width, upright. The middle of 1.35 to 1.40, and a little more, as a slight roll widens the box.
HEIGHT_PER_WIDTH = 1.385
#: The distance between the eyes' centres over the box's width: typical, least and most.
_EYES_PER_WIDTH, _LEAST_EYES_PER_WIDTH, _MOST_EYES_PER_WIDTH = 0.447, 0.432, 0.463
#: The height from eyes to mouth over the box's width: 1.065 times the above, as on the mean face.
_MOUTH_DROP_PER_WIDTH = 0.476
#: Where the eye line and the mouth line lie, as fractions of the height; both are met as nearly as a face allows, the
#: eye line within its range.
_EYE_LINE, _MOUTH_LINE = 0.3875, 0.75
_HIGHEST_EYE_LINE, _LOWEST_EYE_LINE = 0.380, 0.395
#: How far the middle of the visible head moves off the middle of the eyes as the head yaws, over the eyes' distance: by
#: the mean face's outline and AWS's sample (yaw -3.7, middle 0.05 eye distances to the right of the eyes).
_SHIFT_PER_EYES = 0.4
#: Beyond this yaw or pitch foreshortening is no longer compensated; beyond this yaw only the drop from eyes to mouth
#: gives the head's size.
_PROFILE_RAD = math.radians(45.0)
#: Every landmark is at least this far inside, over the width: seen from the side, the nose is the face's edge.
_MARGIN = 0.04


def service_box(points: ArrayLike, pose: Pose) -> NDArray[np.float64]:
    """The box (4,), x1, y1, x2, y2 px, of a face known by its five points (5, 2) px and pose; it may leave the photo.

    Sides are parallel to the photo's. The box of a rolled face is the one that just holds the ellipse in the upright
    box, so it is not blown up by corners without a face.
    """
    # Plain numbers, points as x + iy: arrays of five points take ten times as long.
    rolled = [complex(x, y) for x, y in np.asarray(points, dtype=np.float64).tolist()]
    roll = cmath.rect(1.0, math.radians(pose.roll))
    left_eye, right_eye, _, left_mouth, right_mouth = upright = [point / roll for point in rolled]
    eyes, mouth, middle = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2, sum(upright) / 5
    spread_px = sum(abs(point - middle) for point in upright) / 5
    least_px = 0.25 * max(spread_px, 0.25)
    yaw_rad, pitch_rad = math.radians(pose.yaw), math.radians(pose.pitch)
    # Distances on a head turned by an angle are foreshortened by its cosine.
    yaw_seen, pitch_seen = (math.cos(min(abs(angle), _PROFILE_RAD)) for angle in (yaw_rad, pitch_rad))
    drop_px = max((mouth - eyes).imag, least_px) / pitch_seen
    width_px = drop_px / _MOUTH_DROP_PER_WIDTH
    if abs(yaw_rad) <= _PROFILE_RAD:
        eyes_px = max((right_eye - left_eye).real, least_px) / yaw_seen
        both_px = math.sqrt(eyes_px / _EYES_PER_WIDTH * width_px)
        width_px = min(max(both_px, eyes_px / _MOST_EYES_PER_WIDTH), eyes_px / _LEAST_EYES_PER_WIDTH)
    height_px = width_px * HEIGHT_PER_WIDTH
    eye_line = _EYE_LINE + 0.5 * (_MOUTH_LINE - _EYE_LINE - drop_px / height_px)
    lower_px = (0.5 - min(max(eye_line, _HIGHEST_EYE_LINE), _LOWEST_EYE_LINE)) * height_px
    shift_px = -_SHIFT_PER_EYES * math.sin(2 * yaw_rad) * width_px * _EYES_PER_WIDTH
    centre = (eyes + complex(shift_px, lower_px)) * roll
    across_px = 0.5 * math.hypot(roll.real * width_px, roll.imag * height_px)
    down_px = 0.5 * math.hypot(roll.imag * width_px, roll.real * height_px)
    margin_px = _MARGIN * width_px
    xs, ys = [point.real for point in rolled], [point.imag for point in rolled]
    left, top = min(centre.real - across_px, min(xs) - margin_px), min(centre.imag - down_px, min(ys) - margin_px)
    right, bottom = max(centre.real + across_px, max(xs) + margin_px), max(centre.imag + down_px, max(ys) + margin_px)
    return np.array([left, top, right, bottom])


def bounding_box(box: ArrayLike, width_px: float, height_px: float) -> BoundingBox:
    """A box (4,), x1, y1, x2, y2 px, as ratios of a photo of the given size."""
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64).tolist()
    return BoundingBox(width=(x2 - x1) / width_px, height=(y2 - y1) / height_px, left=x1 / width_px, top=y1 / height_px)


def landmarks(points: ArrayLike, width_px: float, height_px: float) -> tuple[Landmark, ...]:
    """Five points (5, 2) px, left eye, right eye, nose, left and right mouth corner, as the service's landmarks: in its
    order, as ratios of a photo of the given size.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = np.asarray(points, dtype=np.float64).tolist()
    in_order = (left_eye, right_eye, left_mouth, right_mouth, nose)
    return tuple(
        Landmark(type=name, x=x / width_px, y=y / height_px)
        for name, (x, y) in zip(LANDMARK_TYPES, in_order, strict=True)
    )
