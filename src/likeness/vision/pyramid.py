"""A photo in halvings of its size, each decoded or shrunk when it is first needed."""

import math
from collections.abc import Callable
from threading import Lock
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""Width and height in pixels."""

#: The least longer side, px, of the first decoding of a photo, enough for most faces, and of the only other one, for
#: small faces; and how often a decoder can halve the sides (JPEG: to an eighth).
_DECODED_PX, _MOST_DECODED_HALVINGS = (800, 2400), 3


class Pyramid:
    """A photo of `size` and its halvings; `decode(n)` gives it halved n times, 0 to 3, as RGB (height, width, 3) uint8.
    Safe to share between threads.
    """

    def __init__(self, size: Size, decode: Callable[[int], NDArray[np.uint8]]) -> None:
        self.size = size
        self._decode = decode
        self._decodings = list(_DECODED_PX)
        self._halved: dict[int, NDArray[np.uint8]] = {}
        self._lock = Lock()

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Self:
        """The pyramid of a decoded photo (height, width, 3)."""
        photo = cls((pixels.shape[1], pixels.shape[0]), lambda _: pixels)
        photo.decode_for(1)
        return photo

    def at_scale(self, scale: float) -> tuple[NDArray[np.uint8], int]:
        """The smallest halving that is no smaller than the photo times `scale`: pixels (height, width, 3), and by what
        the photo's sides were divided.

        It is smaller if no more may be decoded. Each pixel is the mean of four of the halving before; sides are rounded
        down, or up where they are decoded so.
        """
        wanted = min(_halvings(scale), min(self.size).bit_length() - 1)
        with self._lock:
            finest = min(self._halved, default=wanted + 1)
            if wanted < finest and self._decodings:
                allowed = _halvings(self._decodings.pop(0) / max(self.size))
                finest = min(wanted, allowed, _MOST_DECODED_HALVINGS)
                self._halved[finest] = self._decode(finest)
            wanted = max(wanted, finest)
            for halvings in range(max(each for each in self._halved if each <= wanted), wanted):
                height, width = (side // 2 for side in self._halved[halvings].shape[:2])
                even = self._halved[halvings][: 2 * height, : 2 * width]
                halved = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
                self._halved[halvings + 1] = np.asarray(halved, np.uint8)
            return self._halved[wanted], 2**wanted

    def decode_for(self, scale: float) -> None:
        """Decodes what `at_scale` gives for `scale`, and nothing finer afterwards."""
        self.at_scale(scale)
        self._decodings.clear()

    def resized(self, size: Size) -> NDArray[np.uint8]:
        """The photo at `size` (width, height): halved while that is larger, the rest by bilinear interpolation."""
        pixels, _ = self.at_scale(max(size[0] / self.size[0], size[1] / self.size[1]))
        return pixels if size == pixels.shape[1::-1] else np.asarray(cv2.resize(pixels, size), np.uint8)


def _halvings(scale: float) -> int:
    """How often sides may be halved without falling under `scale` of their length."""
    return max(0, math.floor(-math.log2(max(scale, 1e-9))))
