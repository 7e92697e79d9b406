"""Faces of photos that may not stand upright, with points in the frame of the photo as stored."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from likeness.vision.alignment import warp_chip
from likeness.vision.detection import CERTAIN_SCORE, Detections, Detector, find_faces, merged
from likeness.vision.pyramid import Pyramid, Size
from likeness.vision.suppression import areas

#: A face with this score, whose points lean by no more than this, is upright; others are searched rotated.
_UPRIGHT_SCORE, _UPRIGHT_DEG = 0.905, 12.0
_LEANING_DEG = 20.0  # the points of a face that leans further in an upright photo are inexact
#: The side of the square in which a face is searched, in px of the crop and in longer sides of its box; a rotation must
#: score higher than the photo as it is by the last.
_SHOWN_PX, _SIDES_SHOWN, _ROTATED_MARGIN = 160, 2.5, 0.03

#: Which of N detections are faces, (N,).
AreFaces = Callable[[Detections], NDArray[np.bool_]]


def find(detector: Detector, photo: Pyramid, are_faces: AreFaces | None = None) -> tuple[Detections, int]:
    """The faces of a photo, px of the photo, and the clockwise quarter turns that set them upright (decision 14).

    It is searched at the other right angles if nothing is found, or at the main face's if that is not clearly upright.
    `are_faces` confirms what is found in a rotated photo only, which often is not a face; without it there is no search
    of rotated photos.
    """
    found, turns = _searched(detector, photo, 0), 0
    if are_faces is None:
        return found, 0
    if not len(found):
        found, of = merged(
            [each[are_faces(each)] for each in (_searched(detector, photo, turns) for turns in (1, 2, 3))]
        )
        if not len(found):
            return found, 0
        turns = 1 + int(of[_main(found)])
    main = _main(found)
    if found.scores[main] >= _UPRIGHT_SCORE and abs(roll_deg(found.points[main], turns)) <= _UPRIGHT_DEG:
        return found, turns
    seen = seen_upright(detector, photo, found[main : main + 1])
    turns, others = round(-roll_deg(seen.points[0]) / 90) % 4, found[np.arange(len(found)) != main]
    if not turns:
        return merged([seen, others])[0], 0
    again = _searched(detector, photo, turns)
    if abs(roll_deg(seen.points[0], turns)) > _LEANING_DEG or not len(again):
        again, _ = merged([seen, again])
    found, _ = merged([again, others])
    # An uncertain detection may be a face in the wrong orientation.
    return found[found.scores >= CERTAIN_SCORE], turns


def _main(faces: Detections) -> int:
    """The index of the main face: of the certain ones, that with the highest product of score and area."""
    return int(np.argmax(faces.scores * areas(faces.boxes) * (faces.scores >= CERTAIN_SCORE)))


def _searched(detector: Detector, photo: Pyramid, turns: int) -> Detections:
    """The faces found with the photo turned clockwise by quarter turns, in the frame of the photo as it stands."""
    width, height = photo.size

    def as_turned(size: Size) -> Size:
        return (size[1], size[0]) if turns % 2 else size

    def picture(size: Size) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(photo.resized(as_turned(size)), -turns))

    def back(points: NDArray[np.float32]) -> NDArray[np.float32]:
        x, y = points[..., 0], points[..., 1]
        return np.stack([(x, y), (y, height - x), (width - x, height - y), (width - y, x)][turns], axis=-1)

    found = find_faces(detector, as_turned(photo.size), picture)
    corners = back(found.boxes.reshape(-1, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return Detections(boxes, found.scores, back(found.points))


def seen_upright(detector: Detector, photo: Pyramid, face: Detections) -> Detections:
    """A face (one detection, px of the photo) with its points as found at the multiple of 45 degrees that scores best.

    Rotated faces are found too, with points that seem upright, but lower scores. Of 60 pairs with one photo rotated by
    45, 90 and 180 degrees, 57, 58 and 58 match; without this search 54, 10 and 1 (`python benchmarks/turned.py`).
    """
    middle = (face.boxes[0, :2] + face.boxes[0, 2:]) / 2
    scale = _SHOWN_PX / (_SIDES_SHOWN * max(float(face.sides_px[0]), 1.0))
    best, best_score = face, 0.0
    for degrees in range(0, 360, 45):
        across, down = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
        turn = np.array([[across, -down], [down, across]])
        shift = _SHOWN_PX / 2 - turn @ middle
        found = detector.detect(warp_chip(photo, np.column_stack([turn, shift]), _SHOWN_PX))
        low, high = found.boxes[:, :2].max(axis=1), found.boxes[:, 2:].min(axis=1)
        found = found[(low < _SHOWN_PX / 2) & (high > _SHOWN_PX / 2)][:1]
        score = float(found.scores.max(initial=0)) + (0 if degrees else _ROTATED_MARGIN)
        if len(found) and score > best_score:
            points = ((found.points - shift) @ np.linalg.inv(turn).T).astype(np.float32)
            best_score = score
            best = Detections(face.boxes, np.maximum(face.scores, found.scores), points) if degrees else face
    return best


def roll_deg(points: NDArray[np.float32], turns: int = 0) -> float:
    """The roll of five points (5, 2), -180 to 180 clockwise, once the photo is turned clockwise by quarter turns."""
    across = points[1] - points[0] + points[4] - points[3]
    return (math.degrees(math.atan2(across[1], across[0])) + 90 * turns + 180) % 360 - 180
