"""CenterFace: a face is a peak of a heat map (Xu, Yan et al., "CenterFace: Joint Face Detection and Alignment Using
Face as Point", 2019)."""

import numpy as np
from numpy.typing import NDArray

from likeness.vision.detector import Detections
from likeness.vision.network import Network, fed
from likeness.vision.suppression import suppress

_STRIDE = 4
#: The network halves its input five times.
_MULTIPLE = 32


class CenterFace:
    """Finds faces with a CenterFace network.

    The network takes RGB 0 to 255, one picture, sides a multiple of 32, and gives at a fourth of the size: the
    heat map (1, 1), the logarithms of height and width (1, 2), the offset (y, x) of the centre (1, 2), and five points
    (y, x) as fractions of the box (1, 10). Candidates below `score_threshold` are dropped.
    """

    #: Points of faces of 25 px lie 0.08 eye distances off the mesh's, those of larger ones 0.07
    #: (benchmarks/coarse_to_fine.py). With all of lfw-dev found at 27 px instead of 50, once and by hand, no error rate
    #: changed by more than its error: 0.872 of genuine pairs accepted at a false match rate of 1e-4, before 0.871.
    seen_well_px = 24.0

    def __init__(self, network: Network, *, score_threshold: float = 0.15) -> None:
        self._network = network
        self._score_threshold = score_threshold

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3), in pixels, best first."""
        height, width = pixels.shape[:2]
        below, right = -height % _MULTIPLE, -width % _MULTIPLE
        if below or right:
            pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)))
        heat, sizes, offsets, points = self._network(fed(self._network, pixels[np.newaxis]))
        rows, columns = np.nonzero(heat[0, 0] > self._score_threshold)
        scores = heat[0, 0, rows, columns]
        boxes = self._boxes(sizes[0, :, rows, columns], offsets[0, :, rows, columns], rows, columns)
        kept, voted = suppress(boxes, scores)
        corner, side = boxes[kept, None, :2], (boxes[kept, 2:] - boxes[kept, :2])[:, None]
        fractions = points[0, :, rows[kept], columns[kept]].reshape(-1, 5, 2)[:, :, ::-1]
        return Detections(voted, scores[kept], corner + fractions * side)

    @staticmethod
    def _boxes(
        sizes: NDArray[np.float32], offsets: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Boxes (N, 4) from logarithms of height and width (N, 2) and offsets (N, 2) at cells of the heat map."""
        sides = _STRIDE * np.exp(sizes[:, ::-1])
        cells = np.stack([columns, rows], axis=1)
        centres = _STRIDE * (cells + offsets[:, ::-1] + 0.5)
        return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1, dtype=np.float32, casting="same_kind")
