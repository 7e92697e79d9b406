"""The service's way of drawing a box around a face, from the face's own points (specification section 5.3, decision
17).

Detectors disagree on where a face ends. The service's boxes hold the whole face, forehead to chin, and stand in fixed
relation to eyes and mouth; clients crop and draw by that. So the box is made anew from the points and the pose,
whichever detector found the face.
"""

import math

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


def service_box(points: ArrayLike, pose: Pose) -> NDArray[np.float64]:
    """The box (4,), x1, y1, x2, y2 px, of a face known by its five points (5, 2) px and pose; it may leave the photo.

    Sides are parallel to the photo's. A face turned in the picture's plane is taken as an ellipse, and its box is the
    one that just holds the ellipse: at a quarter turn width and height have changed places, and half-way the box is
    not blown up by corners without a face.
    """
    # As plain numbers: arrays of five points take ten times as long.
    roll_rad, yaw_rad, pitch_rad = math.radians(pose.roll), math.radians(pose.yaw), math.radians(pose.pitch)
    five: list[list[float]] = np.asarray(points, dtype=np.float64).tolist()
    cosine, sine = math.cos(roll_rad), math.sin(roll_rad)
    (x1, y1), (x2, y2), _, (x4, y4), (x5, y5) = five
    eyes_x, eyes_y = (x1 + x2) / 2, (y1 + y2) / 2
    # Of distances on a head turned by an angle one sees only the cosine.
    yaw_seen, pitch_seen = (math.cos(min(abs(angle), math.radians(_PROFILE_DEG))) for angle in (yaw_rad, pitch_rad))
    least_px = 0.25 * max(_spread_px(five), _SMALLEST_FACE_PX / 4)
    eyes_px = max((x2 - x1) * cosine + (y2 - y1) * sine, least_px) / yaw_seen
    drop = ((y4 + y5) / 2 - eyes_y) * cosine - ((x4 + x5) / 2 - eyes_x) * sine
    drop_px = max(drop, least_px) / pitch_seen
    width_px = _width_px(eyes_px, drop_px, profile=abs(yaw_rad) > math.radians(_PROFILE_DEG))
    height_px = width_px * _HEIGHT_PER_WIDTH
    eye_line = _EYE_LINE + 0.5 * (_MOUTH_LINE - _EYE_LINE - drop_px / height_px)
    lower_px = (0.5 - min(max(eye_line, _HIGHEST_EYE_LINE), _LOWEST_EYE_LINE)) * height_px
    shift_px = -_SHIFT_PER_EYES * math.sin(2 * yaw_rad) * width_px * _EYES_PER_WIDTH
    x, y = eyes_x + cosine * shift_px - sine * lower_px, eyes_y + sine * shift_px + cosine * lower_px
    across_px = 0.5 * math.hypot(cosine * width_px, sine * height_px)
    down_px = 0.5 * math.hypot(sine * width_px, cosine * height_px)
    margin_px = _MARGIN * width_px
    xs, ys = [point[0] for point in five], [point[1] for point in five]
    return np.array(
        [
            min(x - across_px, min(xs) - margin_px),
            min(y - down_px, min(ys) - margin_px),
            max(x + across_px, max(xs) + margin_px),
            max(y + down_px, max(ys) + margin_px),
        ]
    )


def _spread_px(five: list[list[float]]) -> float:
    """The points' mean distance from their middle."""
    x, y = sum(point[0] for point in five) / 5, sum(point[1] for point in five) / 5
    return sum(math.hypot(point[0] - x, point[1] - y) for point in five) / 5


def _width_px(eyes_px: float, drop_px: float, *, profile: bool) -> float:
    """The box's width: what eyes and mouth say, meeting in the middle, and within what the eyes allow unless seen from
    the side.
    """
    by_drop = drop_px / _MOUTH_DROP_PER_WIDTH
    if profile:
        return by_drop
    between = math.sqrt(eyes_px / _EYES_PER_WIDTH * by_drop)
    return min(max(between, eyes_px / _MOST_EYES_PER_WIDTH), eyes_px / _LEAST_EYES_PER_WIDTH)


def bounding_box(box: ArrayLike, width_px: float, height_px: float) -> BoundingBox:
    """A box (4,), x1, y1, x2, y2 px, as ratios of a photo of the given size."""
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64).tolist()
    return BoundingBox(width=(x2 - x1) / width_px, height=(y2 - y1) / height_px, left=x1 / width_px, top=y1 / height_px)


def landmarks(points: ArrayLike, width_px: float, height_px: float) -> tuple[Landmark, ...]:
    """Five points (5, 2) px in the detector's order as the service's landmarks: its order, ratios of a photo of the
    given size.

    The detector's order is left eye, right eye, nose, left and right mouth corner.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = np.asarray(points, dtype=np.float64).tolist()
    in_order = (left_eye, right_eye, left_mouth, right_mouth, nose)
    return tuple(
        Landmark(type=name, x=x / width_px, y=y / height_px)
        for name, (x, y) in zip(LANDMARK_TYPES, in_order, strict=True)
    )
