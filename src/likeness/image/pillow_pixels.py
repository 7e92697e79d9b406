"""Pillow images of any mode to RGB pixels."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.image.scaling import shrink, strip_rows

if TYPE_CHECKING:
    from PIL import Image


def rgb(picture: "Image.Image", transparent: bool, reduction: int) -> NDArray[np.uint8]:
    """RGB (height, width, 3) uint8, its sides divided by `reduction`, rounded up; converted strip by strip.

    A `transparent` image is composited over white, as most viewers show it.
    """
    width, height = picture.size
    pixels = np.empty((-(-height // reduction), -(-width // reduction), 3), np.uint8)
    rows = strip_rows(width, reduction)
    for start in range(0, len(pixels), rows):
        bottom = min((start + rows) * reduction, height)
        strip = picture.crop((0, start * reduction, width, bottom))
        strip.info = picture.info
        opaque = _strip_over_white(strip) if transparent else _opaque_strip(strip)
        pixels[start : start + rows] = shrink(opaque, reduction)
    return pixels


def _opaque_strip(strip: "Image.Image") -> NDArray[np.uint8]:
    if strip.mode.startswith("I"):  # 16-bit grey
        return np.repeat((np.asarray(strip) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.asarray(strip.convert("RGB"), np.uint8)


def _strip_over_white(strip: "Image.Image") -> NDArray[np.uint8]:
    if strip.mode.startswith("I"):
        return _opaque_strip(strip)
    inked = np.asarray(strip.convert("RGBA"), np.uint8)
    alpha = cv2.cvtColor(np.ascontiguousarray(inked[:, :, 3]), cv2.COLOR_GRAY2RGB)
    colours = cv2.cvtColor(inked, cv2.COLOR_RGBA2RGB)
    return np.asarray(cv2.add(cv2.multiply(colours, alpha, scale=1 / 255), cv2.bitwise_not(alpha)), np.uint8)
