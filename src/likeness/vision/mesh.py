"""The 468-point face mesh: the position of every part of a face, in three dimensions.

The network is MediaPipe's face landmark model (Kartynnik et al., "Real-time Facial Surface Geometry from Monocular
Video on Mobile GPUs", 2019). It takes a square crop, 1.5 times the face, turned so that the eyes are level. `python
benchmarks/steadiness.py` prints how much steadier landmarks would be with a second run for every face.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.vision.alignment import similarity_transform, warp_chip
from likeness.vision.mesh_model import MESH_POINTS
from likeness.vision.network import Network
from likeness.vision.pyramid import Pyramid

CROP_SIZE_PX = 192
#: Where YuNet's five points lie on the crops that the mesh itself implies: the median over lfw-dev, made symmetric.
CROP_TEMPLATE: NDArray[np.float64] = np.array(
    [[71.3, 71.7], [120.7, 71.7], [96.0, 100.6], [74.2, 122.3], [117.8, 122.3]], dtype=np.float64
)
_OFF_CENTRE = 0.5 - CROP_TEMPLATE.mean(axis=0) / CROP_SIZE_PX  # from the points' mean to the crop's middle, in crops
#: The crop's side over the longer side of the detector's box (median over lfw-dev), and over the mesh's (MediaPipe).
_CROP_PER_DETECTED_SIDE, _CROP_PER_MESH_SIDE = 1.371, 1.5

#: The mesh is fitted again if the corners of the crop that it implies are farther from its own than this (root mean
#: square over the side), at most so often: for few upright faces, and for most that lean.
_CONVERGED, _MOST_RUNS = 0.12, 3
#: A mesh fits with this presence (MediaPipe's own bar), and if its landmarks lie no farther from the detector's than
#: this, mean distance over the crop's side.
LEAST_PRESENCE, MOST_DISAGREEMENT = 0.5, 0.15
#: The mesh's points that two of each make a landmark (eyes, nose, mouth corners), and the share of the first. At this
#: nose the median of (nose - eyes) / (mouth - eyes) over lfw-dev is 0.56, as the service's (section 5.5).
_PARTS: NDArray[np.intp] = np.array([(33, 133), (362, 263), (1, 4), (61, 61), (291, 291)])
_SHARES: NDArray[np.float64] = np.array([[1 / 2], [1 / 2], [2 / 3], [1], [1]])


@dataclass(frozen=True, slots=True, eq=False)
class FaceMesh:
    """One face's mesh: `points` (468, 3) float32, x and y in px of the photo (the first pixel reaches from 0 to 1), z
    in the same unit, smaller is nearer; `landmarks` (5, 2) float32 px in the detector's order.
    """

    points: NDArray[np.float32]
    landmarks: NDArray[np.float32]


class Mesh:
    """Fits the mesh to faces that a detector found.

    `network` takes bytes (1, 192, 192, 3) RGB and answers the points, (1, 1404) in px of the crop, and the presence,
    (1, 1), as a logit; ValueError for one that takes numbers.
    """

    def __init__(self, network: Network) -> None:
        if not network.takes_bytes:
            raise ValueError("the network must take bytes, as `likeness packs install` converts it")
        self._network = network

    def fit(self, photo: Pyramid, box: ArrayLike, points: ArrayLike) -> FaceMesh | None:
        """The mesh of the face with a detector's `box` (4,) and `points` (5, 2), px of `photo`; None without a fit."""
        crop = detected_crop(box, points)
        for _ in range(_MOST_RUNS):
            mesh, presence = self._run(photo, crop)
            shown, crop = crop, mesh_crop(mesh)
            if _apart(shown, crop) < _CONVERGED:
                break
        landmarks = five_landmarks(mesh)
        apart_px = float(np.abs((landmarks - np.asarray(points)) @ (1, 1j)).mean())
        if presence < LEAST_PRESENCE or apart_px * _scale(crop) > MOST_DISAGREEMENT * CROP_SIZE_PX:
            return None
        return FaceMesh(mesh.astype(np.float32), landmarks.astype(np.float32))

    def _run(self, photo: Pyramid, crop: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """The mesh (468, 3) in px of the photo, and the presence, in a crop (2, 3), photo to crop."""
        # One crop a run: several at once leave the processor's caches.
        points, presence = self._network(warp_chip(photo, crop, CROP_SIZE_PX)[np.newaxis])
        scale = _scale(crop)
        mesh = points.reshape(MESH_POINTS, 3).astype(np.float64)
        # The inverse of a turn times a scale is its transpose over the scale squared.
        mesh[:, :2] = (mesh[:, :2] - crop[:, 2]) @ (crop[:, :2] / scale**2)
        mesh[:, 2] /= scale
        return mesh, 1.0 / (1.0 + math.exp(-max(float(presence.item()), -60.0)))


def five_landmarks(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """The five landmarks (5, 2) px of a mesh (468, 3), in the detector's order."""
    one, other = np.asarray(mesh[_PARTS.T, :2], dtype=np.float64)
    return np.asarray(_SHARES * one + (1 - _SHARES) * other)


def detected_crop(box: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """The crop of a face known by its detector's box (4,) and points (5, 2), px: (2, 3), photo to crop.

    The angle is that of the points; centre and size are midway between those of points and box.
    """
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64).tolist()
    box_side_px = max(_CROP_PER_DETECTED_SIDE * max(x2 - x1, y2 - y1), 1.0)
    five = np.asarray(points, dtype=np.float64)
    (cosine, _, _), (sine, _, _) = similarity_transform(five, CROP_TEMPLATE).tolist()
    turn_rad, scale = math.atan2(sine, cosine), max(math.hypot(cosine, sine), 1e-9)
    # Points that nearly coincide do not determine a size.
    side_px = min(max(CROP_SIZE_PX / scale, box_side_px / 3), box_side_px * 3)
    x, y = five.mean(axis=0).tolist()
    right, down = (float(part) * side_px / scale for part in _OFF_CENTRE)
    x, y = x + cosine * right + sine * down, y - sine * right + cosine * down
    return _crop(((x + (x1 + x2) / 2) / 2, (y + (y1 + y2) / 2) / 2), math.sqrt(side_px * box_side_px), turn_rad)


def mesh_crop(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """The crop (2, 3), photo to crop, of a mesh (468, 3): 1.5 times its longer side, eyes level (MediaPipe's rule)."""
    flat = np.asarray(mesh, dtype=np.float64)[:, :2]
    right, down = (flat[_PARTS[1, 1]] - flat[_PARTS[0, 0]]).tolist()
    turn_rad = -math.atan2(down, right)
    cosine, sine = math.cos(turn_rad), math.sin(turn_rad)
    level = flat @ np.array([[cosine, sine], [-sine, cosine]])
    low, high = level.min(axis=0), level.max(axis=0)
    side_px = max(_CROP_PER_MESH_SIDE * float((high - low).max()), 1.0)
    x, y = ((low + high) / 2).tolist()
    return _crop((cosine * x + sine * y, cosine * y - sine * x), side_px, turn_rad)


def _crop(centre: tuple[float, float], side_px: float, turn_rad: float) -> NDArray[np.float64]:
    scale = CROP_SIZE_PX / side_px
    a, b = scale * math.cos(turn_rad), scale * math.sin(turn_rad)
    (x, y), half = centre, CROP_SIZE_PX / 2
    return np.array([[a, -b, half - a * x + b * y], [b, a, half - b * x - a * y]])


def _scale(transform: NDArray[np.float64]) -> float:
    """Crop px per photo px."""
    return max(math.hypot(transform[0, 0], transform[1, 0]), 1e-9)


def _apart(shown: NDArray[np.float64], implied: NDArray[np.float64]) -> float:
    """The root mean square distance between the corners of two crops (2, 3), in sides of the crop."""
    # As complex numbers a crop is z -> factor z + shift; a corner is half (1 + 1j) from the middle.
    (factor, shift), (factor2, shift2) = (t[:, [0, 2]].T @ (1, 1j) for t in (shown, implied))
    half = CROP_SIZE_PX / 2 * (1 + 1j)
    moved = (half - shift) / factor * factor2 + shift2 - half
    return math.hypot(abs(moved), abs(factor2 / factor - 1) * abs(half)) / CROP_SIZE_PX
