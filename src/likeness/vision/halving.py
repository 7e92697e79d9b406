"""Pictures at half their size, the fast way to shrink them without turning detail into noise."""

import cv2
import numpy as np
from numpy.typing import NDArray


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`pixels` (H, W, 3) at half the height and width, each new pixel the mean of four; an odd last row or column is
    left out.
    """
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
