"""SCRFD (Guo, Deng et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022), as its
authors export it with five points."""

import numpy as np
from numpy.typing import NDArray

from likeness.vision.detection import Detections
from likeness.vision.network import Network, fed
from likeness.vision.suppression import suppress
from likeness.vision.yunet import fitted

STRIDES = (8, 16, 32)
_ANCHORS = 2


class Scrfd:
    """Finds faces with an SCRFD network.

    The network takes one picture, sides multiples of 32 or of a fixed `side_px`, and gives nine outputs: for strides 8,
    16 and 32 the scores (anchors, 1), then the distances from the anchor to the box's left, top, right and bottom
    (anchors, 4), then those to the five points (anchors, 10), all in strides, two anchors a cell; a leading dimension
    of 1 is allowed. It is fed RGB, 0 to 255.
    """

    def __init__(self, network: Network, *, score_threshold: float = 0.4, side_px: int = 0) -> None:
        self._network = network
        self._score_threshold = score_threshold
        self._side_px = side_px

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3), in pixels, best first."""
        shown, scale = fitted(pixels, self._side_px)
        outputs = self._network(fed(self._network, shown[np.newaxis]))
        found = [
            self._at_stride(stride, shown.shape, *(outputs[at + 3 * kind] for kind in range(3)))
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
        likely = scores.reshape(-1) > self._score_threshold
        down, across = np.mgrid[: shape[0] // stride, : shape[1] // stride]
        cells = np.stack([across.ravel(), down.ravel()], axis=1)
        anchors = np.repeat(cells, _ANCHORS, axis=0)[likely].astype(np.float32) * stride
        reach = distances.reshape(-1, 4)[likely] * stride
        boxes = np.concatenate([anchors - reach[:, :2], anchors + reach[:, 2:]], axis=1)
        points = anchors[:, None] + marks.reshape(-1, 5, 2)[likely] * stride
        return boxes, scores.reshape(-1)[likely], points
