"""YuNet (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023), as OpenCV's model zoo publishes it."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.vision.detection import Detections
from likeness.vision.network import Network, fed
from likeness.vision.suppression import suppress

STRIDES = (8, 16, 32)


class YuNet:
    """Finds faces with a YuNet network.

    The network takes one picture and gives the scores of a face and of an object, the box and the five points, each for
    strides 8, 16 and 32: twelve outputs (1, cells, 1 or 4 or 10). Published files take BGR 0 to 255 (1, 3, side, side)
    of a fixed `side_px`, 640; 0 is for networks that take any multiple of 32. Converted ones take bytes, RGB.
    """

    def __init__(self, network: Network, *, score_threshold: float = 0.5, side_px: int = 640) -> None:
        self._network = network
        self._score_threshold = score_threshold
        self._side_px = side_px

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3), in pixels, best first."""
        shown, scale = fitted(pixels, self._side_px)
        in_order = shown if self._network.takes_bytes else shown[..., ::-1]  # published files take BGR
        outputs = self._network(fed(self._network, in_order[np.newaxis]))
        faces, objects, boxes, points = (
            np.concatenate(outputs[start : start + len(STRIDES)], axis=1)[0] for start in range(0, 12, len(STRIDES))
        )
        certain = faces[:, 0] * objects[:, 0]
        likely = np.flatnonzero(certain > self._score_threshold**2)
        strides, origins = (each[likely] for each in _grid(*shown.shape[:2]))
        centres = (origins + boxes[likely, :2]) * strides
        halves = np.exp(boxes[likely, 2:]) * strides / 2
        marks = (origins[:, None] + points[likely].reshape(-1, 5, 2)) * strides[:, None]
        scores = np.sqrt(certain[likely])
        kept, voted = suppress(np.concatenate([centres - halves, centres + halves], axis=1), scores)
        return Detections(voted, scores[kept], marks[kept]).scaled(1 / scale, 1 / scale)


def fitted(pixels: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    """The picture (height, width, 3) padded to multiples of 32, or shrunk and padded to `side` if not 0; its scale."""
    height, width = pixels.shape[:2]
    scale = min(side / max(height, width), 1.0) if side else 1.0
    if scale < 1:
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    below, right = (side - height, side - width) if side else (-height % STRIDES[-1], -width % STRIDES[-1])
    return np.pad(pixels, ((0, below), (0, right), (0, 0))) if below or right else pixels, scale


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The strides (C, 1) of all cells of a picture, and their columns and rows (C, 2): 50 kB for 544x384."""
    across = [np.mgrid[: height // stride, : width // stride][::-1].reshape(2, -1).T for stride in STRIDES]
    strides = np.repeat(np.array(STRIDES, np.float32), [len(each) for each in across])
    return strides[:, np.newaxis], np.concatenate(across).astype(np.float32)
