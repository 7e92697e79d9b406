"""How well a face can be seen: brightness, sharpness, and what each quality filter requires of a face.

Sharpness is a mean spatial frequency: the energy of the face's Laplacian over that of its gradient is the mean squared
frequency under the gradient's spectrum. A Gaussian blur cannot raise it, and gain divides out. A slight smoothing keeps
noise from counting as detail, one size of face keeps the size of the photo from it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.faces import Pose, Quality, QualityFilter
from likeness.vision.geometry import HEIGHT_PER_WIDTH
from likeness.vision.pyramid import Pyramid

#: The width of the service's box at which sharpness is measured: about the detail that embedders see.
_FACE_WIDTH_PX = 112.0
#: Brightness is 100 (luma / 255)^0.66: so the median face of lfw-dev has 67, near the 65.3 of AWS's sample.
_BRIGHTNESS_EXPONENT = 0.66
#: Sharpness is 100 f^4 / (f^4 + 0.28^4) of the mean squared frequency f: crisp portraits have f of 0.54 to 0.76, a 51
#: px face enlarged from half its size has 0.08 to 0.14 and gets the 1 to 5 of the service's example (section 5.6).
_MIDDLE_FREQUENCY, _STEEPNESS = 0.28, 4
_LEAST_FREQUENCY = 0.05  # a Sharpness of 0.1, under which rounding to bytes changes f more than blur does
#: The gradient energy (squared grey levels) under which a face is too faint to judge: rounding would count as detail.
_FAINT_ENERGY = 2.0
#: Rounding each channel to bytes adds white noise to the luma (ITU-R BT.601), half as much again in photos that were
#: rounded before; its share in the Laplacian's and the gradient's energy (integrals of the filters' squared responses).
_ROUNDING_VARIANCE = 1.5 * (0.299**2 + 0.587**2 + 0.114**2) / 12.0
_LAPLACIAN_NOISE, _GRADIENT_NOISE = 0.40625, 0.1875
_SMOOTHING: NDArray[np.float32] = np.array([0.25, 0.5, 0.25], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class QualityBar:
    """What a filter requires of a face. Every limit is inclusive.

    `face_width_px` is that of the service's box in px of the photo; `sharpness`, `brightness` and `confidence` are 0 to
    100; `yaw_deg` and `pitch_deg` bound the size of either angle. Roll is free: chips are upright.
    """

    face_width_px: float
    sharpness: float
    brightness: float
    yaw_deg: float
    pitch_deg: float
    confidence: float

    def passes(self, quality: Quality, pose: Pose, *, face_width_px: float, confidence: float) -> bool:
        """Whether a face with these measurements is good enough."""
        return (
            face_width_px >= self.face_width_px
            and quality.sharpness >= self.sharpness
            and quality.brightness >= self.brightness
            and abs(pose.yaw) <= self.yaw_deg
            and abs(pose.pitch) <= self.pitch_deg
            and confidence >= self.confidence
        )


#: The bars of packs whose manifest has none. AUTO excludes only faces that can hardly be seen; HIGH keeps those that
#: suit an identity document. `python -m benchmarks.attributes quality` prints what each does to the error rates.
DEFAULT_BARS: Mapping[QualityFilter, QualityBar] = {
    "AUTO": QualityBar(face_width_px=20, sharpness=0.05, brightness=8, yaw_deg=75, pitch_deg=60, confidence=50),
    "LOW": QualityBar(face_width_px=30, sharpness=0.5, brightness=15, yaw_deg=60, pitch_deg=45, confidence=75),
    "MEDIUM": QualityBar(face_width_px=45, sharpness=10, brightness=22, yaw_deg=40, pitch_deg=30, confidence=90),
    "HIGH": QualityBar(face_width_px=60, sharpness=40, brightness=30, yaw_deg=25, pitch_deg=20, confidence=99),
}


def measure_quality(photo: Pyramid, box: NDArray[np.float64]) -> Quality:
    """The quality of one face with the `box` (4,) x1, y1, x2, y2, px of the photo, that the service draws.

    Only what lies within the photo and within the ellipse that the box holds counts. A face wholly outside has 0 and 0.
    """
    # A rolled face's box is wider for its height; its area still gives the face's size.
    scale = _FACE_WIDTH_PX / math.sqrt(float(np.prod(box[2:] - box[:2])) / HEIGHT_PER_WIDTH)
    pixels, divisor = photo.at_scale(scale)
    (x1, y1, x2, y2), scale = (box / divisor).tolist(), scale * divisor
    left, top = max(math.floor(x1), 0), max(math.floor(y1), 0)
    right, bottom = min(math.ceil(x2), pixels.shape[1]), min(math.ceil(y2), pixels.shape[0])
    if right <= left or bottom <= top:
        return Quality(brightness=0.0, sharpness=0.0)
    # In single precision: OpenCV would round the luma of bytes.
    region = cv2.cvtColor(pixels[top:bottom, left:right].astype(np.float32), cv2.COLOR_RGB2GRAY)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    luma = np.asarray(cv2.resize(region, size, interpolation=how), np.float32)
    across, down = _distances(x1, x2, left, right, size[0]), _distances(y1, y2, top, bottom, size[1])
    shade = min(_mean(luma, _weights(across, down, 0.5, 0.2)) / 255.0, 1.0)
    brightness = 100.0 * math.pow(shade, _BRIGHTNESS_EXPONENT)
    return Quality(brightness=brightness, sharpness=_sharpness(luma, _weights(across, down, 0.85, 0.3)))


def _distances(start: float, end: float, low: int, high: int, count: int) -> NDArray[np.float32]:
    """How far `count` pixels from `low` to `high` lie from the middle of a side of the box, in half sides, squared."""
    places = low + (np.arange(count) + 0.5) * ((high - low) / count)
    return np.asarray(np.square((places - (start + end) / 2) / (end - start) * 2), np.float32)


def _weights(across: NDArray[np.float32], down: NDArray[np.float32], end: float, length: float) -> NDArray[np.float32]:
    """Weights (H, W) that fall from 1 to 0 over the last `length` before the squared radius `end`; `across` (W,) and
    `down` (H,) are squared distances.
    """
    falling = np.add.outer((end - down) / length, across / -length)
    return np.asarray(np.clip(falling, 0, 1), np.float32)


def _mean(values: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """The weighted mean; 0 where nothing has a weight."""
    total = float(weights.sum())
    return float((weights * values).sum()) / total if total > 0 else 0.0


def _sharpness(luma: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    smooth = cv2.sepFilter2D(luma, -1, _SMOOTHING, _SMOOTHING, borderType=cv2.BORDER_REFLECT_101)
    padded = cv2.copyMakeBorder(smooth, 0, 1, 0, 1, cv2.BORDER_REFLECT_101)
    right, below = padded[:-1, 1:] - smooth, padded[1:, :-1] - smooth
    laplacian = cv2.Laplacian(smooth, -1, ksize=1, borderType=cv2.BORDER_REFLECT_101)
    curving = _mean(np.square(laplacian), weights) - _LAPLACIAN_NOISE * _ROUNDING_VARIANCE
    rising = _mean(right * right + below * below, weights) - _GRADIENT_NOISE * _ROUNDING_VARIANCE
    frequency = max(curving, 0.0) / (max(rising, 0.0) + _FAINT_ENERGY)
    if frequency < _LEAST_FREQUENCY:
        return 0.0
    powered = frequency**_STEEPNESS
    return 100.0 * powered / (powered + _MIDDLE_FREQUENCY**_STEEPNESS)
