"""What the families with several strides have in common: cells of grids, and distances from them."""

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)


def cells(rows: int, columns: int, anchors: int = 1) -> NDArray[np.float32]:
    """The x and y of a grid's cells, row by row, each repeated `anchors` times: (rows * columns * anchors, 2)."""
    down, across = np.mgrid[:rows, :columns]
    return np.repeat(np.stack([across.ravel(), down.ravel()], axis=1), anchors, axis=0).astype(np.float32)


def fitted(pixels: NDArray[np.uint8], side: int | None) -> tuple[NDArray[np.uint8], float]:
    """The picture as a network can take it, and by how much it was scaled.

    Networks of a fixed size take `side` x `side`: the picture is shrunk if it must be and padded with black on the
    right and below. Others take multiples of 32.
    """
    height, width = pixels.shape[:2]
    scale = 1.0
    if side is not None and max(height, width) > side:
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = pixels.shape[:2]
    below, right = (side - height, side - width) if side else (-height % STRIDES[-1], -width % STRIDES[-1])
    return np.pad(pixels, ((0, below), (0, right), (0, 0))) if below or right else pixels, scale
