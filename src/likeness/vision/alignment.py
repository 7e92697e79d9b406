"""Face chips: the pixels of one face, turned upright and scaled so that its points lie where the embedder expects them."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Where CenterFace's five points (left eye, right eye, nose, left and right mouth corner) fall on dlib's 150 px chip with 25 %
#: padding: the mean over lfw-dev of the detector's points seen through dlib's own alignment. Pixels, x then y.
DLIB_CHIP_TEMPLATE: NDArray[np.float64] = np.array(
    [[47.6, 47.1], [102.6, 46.6], [74.6, 79.1], [50.9, 104.1], [97.6, 103.4]], dtype=np.float64
)
DLIB_CHIP_SIZE_PX = 150

#: Points closer together than this (standard deviation, px) are taken to be this far apart, so that no input gives an infinite scale.
_SMALLEST_SPREAD_PX = 0.5


def similarity_transform(points: ArrayLike, template: ArrayLike) -> NDArray[np.float64]:
    """The turn, scale and shift that bring `points` nearest to `template` in the least squares sense.

    Both are (K, 2), x then y, px. Returns (2, 3), to be applied as `matrix @ (x, y, 1)`; it never mirrors.
    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991, in its two-dimensional form.
    """
    source = np.asarray(points, dtype=np.float64)
    target = np.asarray(template, dtype=np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    p, q = source - source_mean, target - target_mean
    spread = max(float((p * p).sum()), len(source) * _SMALLEST_SPREAD_PX**2)
    # A turn and a scale together are one complex factor a + ib: (x, y) -> (ax - by, bx + ay).
    a = float((p * q).sum()) / spread
    b = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / spread
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, target_mean - turn @ source_mean])


def cut_chip(
    pixels: NDArray[np.uint8],
    points: ArrayLike,
    template: ArrayLike = DLIB_CHIP_TEMPLATE,
    size: int = DLIB_CHIP_SIZE_PX,
) -> NDArray[np.uint8]:
    """The chip of the face whose five points are given.

    `pixels` is (height, width, 3) uint8 RGB, `points` and `template` are (K, 2) px in the photo and on the chip. Returns (size, size, 3)
    uint8 RGB. What lies outside the photo is black, as the embedder was trained. A face larger than the chip is first reduced by area
    averaging, so that no detail turns into noise.
    """
    return warp_chip(pixels, similarity_transform(points, template), size)


def warp_chip(pixels: NDArray[np.uint8], transform: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """The chip that `transform` (2, 3), photo px to chip px, cuts out of `pixels`; shapes as in `cut_chip`."""
    left, top, right, bottom = _region(transform, size, pixels.shape[1], pixels.shape[0])
    if right <= left or bottom <= top:
        return np.zeros((size, size, 3), dtype=np.uint8)
    region = pixels[top:bottom, left:right]
    matrix = transform.copy()
    matrix[:, 2] += transform[:, :2] @ (left, top)
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale < 1.0:
        region, matrix = _reduced(region, matrix, scale)
    chip: NDArray[np.uint8] = cv2.warpAffine(
        np.ascontiguousarray(region), matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return chip


def _region(transform: NDArray[np.float64], size: int, width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """The upright rectangle of the photo that the chip's square covers, two pixels wider, within the photo."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], dtype=np.float64)
    turn = transform[:, :2]
    in_photo = np.linalg.lstsq(turn, (corners - transform[:, 2]).T, rcond=None)[0]
    margin_px = 2 + int(1 / max(float(np.hypot(*turn[0])), 1e-6))
    low = np.clip(np.floor(in_photo.min(axis=1)) - margin_px, 0, (width_px, height_px)).astype(int)
    high = np.clip(np.ceil(in_photo.max(axis=1)) + margin_px, 0, (width_px, height_px)).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _reduced(
    region: NDArray[np.uint8], matrix: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """`region` reduced by area averaging to about the chip's scale, and `matrix` for its new pixels."""
    height_px, width_px = region.shape[:2]
    new_width_px, new_height_px = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    smaller = cv2.resize(region, (new_width_px, new_height_px), interpolation=cv2.INTER_AREA)
    ratio = np.array([width_px / new_width_px, height_px / new_height_px])
    # Pixel centres lie at whole numbers: x = (x' + 0.5) * ratio - 0.5.
    moved = np.column_stack([matrix[:, :2] * ratio, matrix[:, 2] + matrix[:, :2] @ (0.5 * ratio - 0.5)])
    return np.asarray(smaller, dtype=np.uint8), moved
