"""Face chips: the pixels of one face, rotated and scaled so that its points lie where the embedder expects them.

Points are continuous, in a photo as on a chip: the first pixel reaches from 0 to 1, its centre is 0.5.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.vision.mesh_model import MEAN_FIVE, MEAN_RIGID, RIGID
from likeness.vision.pyramid import Pyramid

_SMALLEST_SPREAD_PX = 0.5  # the least standard deviation of points, so that no scale is infinite
_AS_COMPLEX = np.array([1, 1j])
_LONGEST_WARPED_PX = 32_000  # OpenCV warps no picture with a longer side

PointSource = Literal["detector", "mesh"]


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a face for the embedder: by the detector's points or, if it fits, the mesh's; mirrored or not."""

    points: PointSource = "detector"
    mirror: bool = False


@dataclass(frozen=True)
class Aligner:
    """Cuts the views of a face that an embedder averages: `size_px` is the side of a chip, `template` (5, 2) where the
    five points belong on it.
    """

    size_px: int
    template: NDArray[np.float64]
    views: Sequence[View]

    def cut(self, photo: Pyramid, points: ArrayLike, mesh_points: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """The views (V, S, S, 3) uint8 RGB of one face.

        `points` (5, 2) px of the photo are the detector's, `mesh_points` (468, 2 or 3) the mesh's, None without a fit.
        """
        chips = []
        for view in self.views:
            if view.points == "mesh" and mesh_points is not None:
                transform = similarity_transform(mesh_points[RIGID, :2], self._rigid_template)
            else:
                transform = similarity_transform(points, self.template)
            chip = warp_chip(photo, transform, self.size_px)
            chips.append(chip[:, ::-1] if view.mirror else chip)
        return np.array(chips)

    @cached_property
    def _rigid_template(self) -> NDArray[np.float64]:
        """Where the mesh's rigid points (55, 2) belong: those of the mean face, its five laid onto the template."""
        onto = similarity_transform(MEAN_FIVE[:, :2], self.template)
        return np.asarray(MEAN_RIGID[:, :2] @ onto[:, :2].T + onto[:, 2])


def similarity_transform(points: ArrayLike, template: ArrayLike) -> NDArray[np.float64]:
    """The rotation, scale and shift that bring `points` nearest to `template` in least squares, without mirroring.

    Both are (K, 2), x then y, px. Returns (2, 3), applied as `matrix @ (x, y, 1)`. Umeyama, "Least-squares estimation
    of transformation parameters between two point patterns", PAMI 1991, in two dimensions.
    """
    # As complex numbers x + iy, a rotation and a scale are one factor a + ib: (x, y) -> (ax - by, bx + ay).
    source = np.asarray(points, dtype=np.float64) @ _AS_COMPLEX
    target = np.asarray(template, dtype=np.float64) @ _AS_COMPLEX
    middle, belongs = source.sum() / len(source), target.sum() / len(target)
    off = source - middle
    spread = max(float(np.vdot(off, off).real), len(source) * _SMALLEST_SPREAD_PX**2)
    factor = complex(np.vdot(off, target - belongs)) / spread
    shift = complex(belongs - factor * middle)
    a, b = factor.real, factor.imag
    return np.array([[a, -b, shift.real], [b, a, shift.imag]])


def warp_chip(photo: Pyramid, transform: NDArray[np.float64], size_px: int) -> NDArray[np.uint8]:
    """The chip (S, S, 3) uint8 RGB that `transform` (2, 3), photo to chip, cuts out of `photo`.

    What lies outside the photo is black, as embedders were trained. A face more than twice as large is cut from a
    halving of the photo, so that detail is averaged.
    """
    scale = math.hypot(transform[0, 0], transform[1, 0])
    pixels, divisor = photo.at_scale(min(scale, _LONGEST_WARPED_PX / 2 / max(photo.size)))
    (a, b, across), (c, d, down) = (transform * [[divisor, divisor, 1]]).tolist()
    # OpenCV counts from the centres of pixels.
    centred = np.array([[a, b, across + (a + b - 1) / 2], [c, d, down + (c + d - 1) / 2]])
    chip = cv2.warpAffine(pixels, centred, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(chip, dtype=np.uint8)
