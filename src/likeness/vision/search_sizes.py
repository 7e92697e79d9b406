"""At which sizes a photo is searched for faces: coarsely first, and as finely as is promised."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.pyramid import Picture, pyramid

Size = tuple[int, int]
"""Width and height in pixels."""

#: Photos are searched at the pixels of 800x448, and enlarged up to those of 640x480. Of faces 40 px wide in 1920x1080
#: 99 in 100 are found there, wherever they stand; at 704x384 all in a crowd, but 9 in 10 beside one large face
#: (benchmarks/small_faces.py).
#: Large photos of another shape get more pixels, up to those of 768x576, so that their longer side too is searched as
#: finely.
_USUAL_PIXELS, _MOST_PIXELS = 800 * 448, 768 * 576
_PROMISED_SIDE_PX, _SEARCHED_SIDE_PX = 1920, 800
_FEWEST_PIXELS = 640 * 480
_MOST_ENLARGEMENT = 2.0
#: Coarse searches have a quarter of the width and height, then half of them: a sixteenth, a quarter of the work.
_COARSEST, _COARSE = 0.25, 0.5
#: Small photos are searched at this many pixels at least before nothing more is looked for.
_LEAST_PIXELS = 60_000
#: A search comes before another where it has at most two thirds of its pixels.
_WORTHWHILE = 1.5
#: By as much a picture may be shrunk by bilinear interpolation, which looks at four pixels.
_MOST_SHRINKING = 2.1
#: Detectors work on multiples of 32.
MULTIPLE = 32


def working_size(width: int, height: int) -> Size:
    """The width and height in pixels at which a photo of `width` x `height` is searched, multiples of 32.

    A face of 40 px in 1920x1080 has 17 px there; larger photos are shrunk more, so that the smallest face that is found
    grows with them.
    """
    scale = max(float(np.sqrt(_USUAL_PIXELS / (width * height))), _promised_scale(width, height))
    scale = min(scale, float(np.sqrt(_MOST_PIXELS / (width * height))))
    if scale > 1:
        scale = min(max(1.0, float(np.sqrt(_FEWEST_PIXELS / (width * height)))), _MOST_ENLARGEMENT)
    return multiple(width * scale), multiple(height * scale)


@dataclass(frozen=True, slots=True)
class Rung:
    """One search of a photo at `size`; whether every face that is promised has 17 px there, so that it may be the last
    (`keeps_promise`).
    """

    size: Size
    keeps_promise: bool

    def turned(self) -> "Rung":
        """The same for the photo turned by a right angle."""
        return Rung(self.size[::-1], self.keeps_promise)


def ladder(width: int, height: int) -> tuple[Rung, ...]:
    """The searches of a photo of `width` x `height`, the coarsest first, that at `working_size` last.

    Up to four: at a quarter and at half of the working size; at the least size that keeps the promise; and at the
    working size itself; without those that are nearly as large as the next.
    """
    promised = max(_promised_scale(width, height), float(np.sqrt(_LEAST_PIXELS / (width * height))))
    fine = working_size(width, height)
    least = _no_less(width * promised), _no_less(height * promised)
    halves = [(_no_less(fine[0] * part), _no_less(fine[1] * part)) for part in (_COARSE, _COARSEST)]
    sizes = [fine]
    for size in (least, *halves):
        if _pixels(size) * _WORTHWHILE <= _pixels(sizes[0]):
            sizes.insert(0, size)
    return tuple(
        Rung(size, size == fine or (size[0] >= width * promised and size[1] >= height * promised)) for size in sizes
    )


def resized(photo: Picture, size: Size) -> NDArray[np.uint8]:
    """The photo at `size`: halved, each pixel the mean of four, until bilinear interpolation takes in the rest.

    Averaging to the very size takes ten times as long: 17 ms from 1920x1080 to 800x448, on one thread.
    """
    levels, halvings = pyramid(photo), 0
    height, width = levels.shape[:2]
    while width >> halvings > _MOST_SHRINKING * size[0] or height >> halvings > _MOST_SHRINKING * size[1]:
        halvings += 1
    pixels = levels.halved(halvings)
    return pixels if size == pixels.shape[1::-1] else np.asarray(cv2.resize(pixels, size), np.uint8)


def multiple(side: float) -> int:
    """The multiple of 32 next to `side`, not 0."""
    return max(MULTIPLE, round(side / MULTIPLE) * MULTIPLE)


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _no_less(side: float) -> int:
    """The multiple of 32 next above `side`."""
    return math.ceil(side / MULTIPLE) * MULTIPLE


def _promised_scale(width: int, height: int) -> float:
    """The least scale at which the smallest face that is promised is found."""
    return _SEARCHED_SIDE_PX / max(width, height, _PROMISED_SIDE_PX)
