"""SCRFD (Guo, Deng et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022), as its
authors export it with five points."""

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.vision.detection import Detections
from likeness.vision.detectors.anchor_free import STRIDES, cells, fitted
from likeness.vision.network import Network
from likeness.vision.suppression import suppress

_ANCHORS = 2
_MEAN, _SPREAD = 127.5, 128.0


class Scrfd:
    """Finds faces with an SCRFD network.

    The network takes RGB, less 127.5 and divided by 128, (1, 3, height, width), sides multiples of 32, and gives nine
    outputs: for strides 8, 16 and 32 the scores (anchors, 1), then the distances from the anchor to the box's left,
    top, right and bottom (anchors, 4), then to the five points (anchors, 10), in strides; two anchors a cell. A
    leading dimension of 1 is allowed. `side_px` for a network of fixed size.
    """

    def __init__(self, network: Network, *, score_threshold: float = 0.4, side_px: int | None = None) -> None:
        self._network = network
        self._score_threshold = score_threshold
        self._side_px = side_px

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3), in pixels, best first."""
        fed, scale = fitted(pixels, self._side_px)
        outputs = self._network(
            np.asarray(cv2.dnn.blobFromImage(fed, 1 / _SPREAD, mean=(_MEAN, _MEAN, _MEAN)), np.float32)
        )
        found = [
            self._at_stride(stride, fed.shape, *(outputs[at + 3 * kind] for kind in range(3)))
            for at, stride in enumerate(STRIDES)
        ]
        boxes, scores, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept, voted = suppress(boxes, scores)
        return Detections(voted, scores[kept], points[kept]).scaled(1 / scale, 1 / scale)

    def _at_stride(
        self,
        stride: int,
        shape: tuple[int, ...],
        scores: NDArray[np.float32],
        distances: NDArray[np.float32],
        marks: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (N, 4), scores (N,) and points (N, 5, 2) above the threshold, from one stride's outputs."""
        scores = scores.reshape(-1)
        likely = scores > self._score_threshold
        anchors = cells(shape[0] // stride, shape[1] // stride, _ANCHORS)[likely] * stride
        reach = distances.reshape(-1, 4)[likely] * stride
        boxes = np.concatenate([anchors - reach[:, :2], anchors + reach[:, 2:]], axis=1)
        return boxes, scores[likely], anchors[:, None] + marks.reshape(-1, 5, 2)[likely] * stride
