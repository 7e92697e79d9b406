"""The 468-point face mesh: the position of every part of a face, in three dimensions.

The network is MediaPipe's face landmark model (Kartynnik et al., "Real-time Facial Surface Geometry from Monocular
Video on Mobile GPUs", 2019). Its input is a square crop, 1.5 times the face, turned so that the eyes are level. The
first crop follows from the detector's box and points; where the mesh asks for quite another crop, it is fitted again
there. `python benchmarks/steadiness.py` prints how much steadier landmarks would be with a second run for every face.
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

#: Where a detector's five points fall on the network's crop (left eye, right eye, nose, mouth corners): the median
#: over lfw-dev of YuNet's points on the crops that the mesh itself asks for, made symmetric.
CROP_TEMPLATE: NDArray[np.float64] = np.array(
    [[71.3, 71.7], [120.7, 71.7], [96.0, 100.6], [74.2, 122.3], [117.8, 122.3]], dtype=np.float64
)
#: From the points' mean to the crop's middle, in crops.
_OFF_CENTRE = 0.5 - CROP_TEMPLATE.mean(axis=0) / CROP_SIZE_PX
#: The crop's side over the longer side of the detector's box (median over lfw-dev, as above), and over the mesh's own
#: (MediaPipe).
_CROP_PER_DETECTED_SIDE = 1.371
_CROP_PER_MESH_SIDE = 1.5

#: The mesh is fitted again where the crop that it asks for has its corners farther from those of the crop it was shown
#: than this (root mean square over the crop's side), in all at most so many times: 1 in 30 upright faces is fitted
#: twice, and nearly every face that leans by 45 degrees.
_SETTLED, _MOST_RUNS = 0.12, 3
#: A mesh under this presence (MediaPipe's own bar) is none.
LEAST_PRESENCE = 0.5
#: Nor is one whose five landmarks lie farther from the detector's than this, mean distance over the crop's side: it has
#: gone to another face. Of upright faces of lfw-dev none is farther than 0.09.
MOST_DISAGREEMENT = 0.15
_LEFT_EYE, _RIGHT_EYE = (33, 133), (362, 263)
_NOSE_TIP, _NOSE_RIDGE = 1, 4
_LEFT_MOUTH, _RIGHT_MOUTH = 61, 291
#: These points, and how the five landmarks are made of them.
_PARTS: NDArray[np.intp] = np.array(
    [*_LEFT_EYE, *_RIGHT_EYE, _NOSE_TIP, _NOSE_RIDGE, _LEFT_MOUTH, _RIGHT_MOUTH], dtype=np.intp
)
_FIVE_OF_PARTS: NDArray[np.float64] = np.zeros((5, 8))
_FIVE_OF_PARTS[0, :2] = _FIVE_OF_PARTS[1, 2:4] = 1 / 2
_FIVE_OF_PARTS[2, 4:6] = 2 / 3, 1 / 3
_FIVE_OF_PARTS[3, 6] = _FIVE_OF_PARTS[4, 7] = 1


@dataclass(frozen=True, slots=True, eq=False)
class FaceMesh:
    """One face's mesh.

    `points` is (468, 3) float32: x and y in px of the photo (the first pixel reaches from 0 to 1), z in the same
    unit, smaller is nearer. `landmarks` is (5, 2) float32 px: left eye, right eye, nose, left and right mouth corner,
    left being the picture's left on an upright face. `presence` is the network's belief, 0 to 1, that there is a
    face.
    """

    points: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    presence: float


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
        """The mesh of the face with the detector's `box` (4,) x1, y1, x2, y2 and `points` (5, 2), px of `photo`.

        None where it does not fit and the detector's own points are the better ones.
        """
        crop = detected_crop(box, points)
        for _ in range(_MOST_RUNS):
            mesh, presence = self._run(photo, crop)
            shown, crop = crop, mesh_crop(mesh)
            if _crops_apart(shown, crop) < _SETTLED:
                break
        landmarks = five_landmarks(mesh)
        apart_px = float(np.abs((landmarks - np.asarray(points)) @ (1, 1j)).mean())
        if presence < LEAST_PRESENCE or apart_px * _scale(crop) > MOST_DISAGREEMENT * CROP_SIZE_PX:
            return None
        return FaceMesh(mesh.astype(np.float32), landmarks.astype(np.float32), presence)

    def _run(self, photo: Pyramid, crop: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """The mesh (468, 3) in px of the photo, and the presence, in a crop (2, 3), photo to crop.

        One crop a run takes 1.0 ms, 16 in a run 1.6 ms each: they leave the processor's caches.
        """
        points, presence = self._network(warp_chip(photo, crop, CROP_SIZE_PX)[np.newaxis])
        scale = _scale(crop)
        mesh = points.reshape(MESH_POINTS, 3).astype(np.float64)
        # The inverse of a turn times a scale is its transpose over the scale squared.
        mesh[:, :2] = (mesh[:, :2] - crop[:, 2]) @ (crop[:, :2] / scale**2)
        mesh[:, 2] /= scale
        return mesh, 1.0 / (1.0 + math.exp(-max(float(presence.item()), -60.0)))


def five_landmarks(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """The five landmarks (5, 2) px of a mesh (468, 3), in the detector's order.

    An eye is midway between its corners. The nose's tip lies a third of the way from mesh point 1 to point 4: there
    the median ratio of (nose - eyes) to (mouth - eyes) over lfw-dev is 0.56, which is both detectors' and, at pitch
    0, the service's (section 5.5).
    """
    return _FIVE_OF_PARTS @ np.asarray(mesh[_PARTS, :2], dtype=np.float64)


def detected_crop(box: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """The crop of a face known by its detector's box (4,) and points (5, 2), px: (2, 3), photo to crop.

    Turn from the points; centre and size midway between what points and box say: of a turned head, points shrink
    together and boxes do not; of a turned photo, boxes grow and points do not.
    """
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64).tolist()
    box_side_px = max(_CROP_PER_DETECTED_SIDE * max(x2 - x1, y2 - y1), 1.0)
    five = np.asarray(points, dtype=np.float64)
    (cosine, _, _), (sine, _, _) = similarity_transform(five, CROP_TEMPLATE).tolist()
    turn_rad, scale = math.atan2(sine, cosine), max(math.hypot(cosine, sine), 1e-9)
    # Points that nearly coincide say nothing of size.
    side_px = min(max(CROP_SIZE_PX / scale, box_side_px / 3), box_side_px * 3)
    x, y = five.mean(axis=0).tolist()
    right, down = (float(part) * side_px / scale for part in _OFF_CENTRE)
    x, y = x + cosine * right + sine * down, y - sine * right + cosine * down
    return _crop(((x + (x1 + x2) / 2) / 2, (y + (y1 + y2) / 2) / 2), math.sqrt(side_px * box_side_px), turn_rad)


def mesh_crop(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """The crop (2, 3), photo to crop, of a face known by its mesh (468, 3): 1.5 times the mesh's longer side, the eyes
    level (MediaPipe's own rule).
    """
    flat = np.asarray(mesh, dtype=np.float64)[:, :2]
    right, down = (flat[_RIGHT_EYE[1]] - flat[_LEFT_EYE[0]]).tolist()
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


def _crops_apart(shown: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """The root mean square distance between the corners of two crops (2, 3), in sides of the crop."""
    # As complex numbers a crop is z -> factor z + shift.
    one, other = (complex(t[0, 0], t[1, 0]) for t in (shown, wanted))
    shift, onto = (complex(t[0, 2], t[1, 2]) for t in (shown, wanted))
    # What turns and scales the one into the other moves the corners by as much as their distance from the middle.
    half = CROP_SIZE_PX / 2 * (1 + 1j)
    moved = (half - shift) / one * other + onto - half
    return math.hypot(abs(moved), abs(other / one - 1) * abs(half)) / CROP_SIZE_PX
