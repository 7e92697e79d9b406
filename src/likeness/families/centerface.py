"""CenterFace: a face is a peak of a heat map (Xu, Yan et al., "CenterFace: Joint Face Detection and Alignment Using
Face as Point", 2019)."""

import numpy as np
from numpy.typing import NDArray

from likeness.vision.detection import Detections
from likeness.vision.network import Network, fed
from likeness.vision.suppression import suppress
from likeness.vision.yunet import fitted

_STRIDE = 4


class CenterFace:
    """Finds faces with a CenterFace network.

    The network takes one picture, sides multiples of 32 or of a fixed `side_px`, and gives at a fourth of its size: the
    heat map (1, 1), the logarithms of height and width (1, 2), the offset (y, x) of the centre (1, 2), and five points
    (y, x) as fractions of the box (1, 10). It is fed RGB, 0 to 255.
    """

    def __init__(self, network: Network, *, score_threshold: float = 0.35, side_px: int = 0) -> None:
        self._network = network
        self._score_threshold = score_threshold
        self._side_px = side_px

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3), in pixels, best first."""
        shown, scale = fitted(pixels, self._side_px)
        heat, sizes, offsets, points = self._network(fed(self._network, shown[np.newaxis]))
        rows, columns = np.nonzero(heat[0, 0] > self._score_threshold)
        scores = heat[0, 0, rows, columns]
        # Indexed together, the cells come first: (N, 2) and (N, 10).
        sides = _STRIDE * np.exp(sizes[0, ::-1, rows, columns])
        centres = _STRIDE * (np.stack([columns, rows], axis=1) + offsets[0, ::-1, rows, columns] + 0.5)
        boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)
        kept, voted = suppress(boxes, scores)
        corner, side = boxes[kept, None, :2], (boxes[kept, 2:] - boxes[kept, :2])[:, None]
        fractions = points[0, :, rows[kept], columns[kept]].reshape(-1, 5, 2)[:, :, ::-1]
        return Detections(voted, scores[kept], corner + fractions * side).scaled(1 / scale, 1 / scale)
