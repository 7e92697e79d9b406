"""Reduction of pixels to a half, a quarter or an eighth of their size."""

import cv2
import numpy as np
from numpy.typing import NDArray

_STRIP_ROWS = 64
#: A photo may be as wide as a hundred megapixels in a few rows.
_STRIP_PIXELS = 1 << 22


def strip_rows(width: int, reduction: int) -> int:
    """How many rows of the result one strip has, from a picture `width` px wide: what keeps temporary arrays small."""
    return max(1, min(_STRIP_ROWS, _STRIP_PIXELS // (width * reduction)))


def shrink(pixels: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """The mean of each `reduction` x `reduction` pixels, with edges replicated; `pixels` itself for 1.

    Works strip by strip to keep temporary arrays small.
    """
    if reduction == 1:
        return pixels
    height, width = pixels.shape[:2]
    shrunk = np.empty((-(-height // reduction), -(-width // reduction), 3), np.uint8)
    rows = strip_rows(width, reduction) * reduction
    for top in range(0, height, rows):
        strip = pixels[top : top + rows]
        below, right = -len(strip) % reduction, -width % reduction
        if below or right:
            strip = np.pad(strip, ((0, below), (0, right), (0, 0)), mode="edge")
        size = (shrunk.shape[1], len(strip) // reduction)
        start = top // reduction
        shrunk[start : start + size[1]] = cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
    return shrunk
