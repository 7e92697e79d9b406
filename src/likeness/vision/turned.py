"""Photos turned by right angles, and faces found in them laid back onto the photo as stored."""

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.vision.detector import Detections


def turned(pixels: NDArray[np.uint8], turns: int) -> NDArray[np.uint8]:
    """The photo turned clockwise by 1 to 3 quarter turns."""
    codes = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return np.asarray(cv2.rotate(pixels, codes[turns]), np.uint8)


def turned_back(faces: Detections, turns: int, shape: tuple[int, ...]) -> Detections:
    """Faces of the photo turned clockwise by `turns`, in the frame of the photo as stored, whose shape is given."""
    height, width = shape[:2]
    corners = _points_turned_back(faces.boxes.reshape(-1, 2, 2), turns, width, height)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return Detections(boxes, faces.scores, _points_turned_back(faces.points, turns, width, height))


def _points_turned_back(points: NDArray[np.float32], turns: int, width: int, height: int) -> NDArray[np.float32]:
    x, y = points[..., 0], points[..., 1]
    back = {1: (y, height - x), 2: (width - x, height - y), 3: (width - y, x)}[turns]
    return np.stack(back, axis=-1).astype(np.float32)
