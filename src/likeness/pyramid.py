"""A picture and its halvings, the fast way to shrink it without turning detail into noise."""

from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray


class Pyramid:
    """A picture (H, W, 3) uint8, and that picture halved again and again, each size made when it is first asked for.

    Whoever looks at a photo needs some of them: searches, crops, chips. Safe to share between threads; all sizes
    together take a third more memory than the picture.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._levels = [pixels]
        self._lock = Lock()

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture itself."""
        return self._levels[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The picture's height, width and 3."""
        return self._levels[0].shape

    def halved(self, times: int) -> NDArray[np.uint8]:
        """The picture with height and width halved `times` times, rounded down."""
        with self._lock:
            while len(self._levels) <= times:
                self._levels.append(halved(self._levels[-1]))
            return self._levels[times]


Picture = NDArray[np.uint8] | Pyramid
"""Pixels (H, W, 3) uint8, or the pyramid over them, which several may share."""


def pyramid(picture: Picture) -> Pyramid:
    """The pyramid that `picture` is, or one over its pixels."""
    return picture if isinstance(picture, Pyramid) else Pyramid(picture)


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`pixels` (H, W, 3) at half the height and width, each new pixel the mean of four; an odd last row or column is
    left out.
    """
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
