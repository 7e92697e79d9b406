"""Faces found in a photo: one search at a size for its shape, and a finer one if that found small faces."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackInvalid
from likeness.vision.pyramid import Size
from likeness.vision.suppression import areas, overlaps, suppress

#: The first search has this share of the photo's pixels, within these bounds. The fine one has as many as 1120x640.
#: `python benchmarks/detection.py` prints what that finds, and what one search of other sizes does.
_FIRST_SHARE, _FIRST_LEAST_PIXELS, _FIRST_MOST_PIXELS = 0.5, 100_000, 200_000
_FINE_PIXELS = 700_000
#: The largest enlargement of a photo, and the px of which the sides of a detector's input are multiples.
_MOST_ENLARGEMENT, _MULTIPLE = 2.0, 32
#: A face narrower than this in the first search calls for the fine one, as does a photo without a certain face.
_SMALL_PX = 24.0

#: A photo has faces if one of them reaches this score. Pictures without faces (noise, textures, cats) stay below.
CERTAIN_SCORE = 0.6
#: Other faces need this score if they are this wide in the first search (detectors doubt smaller ones), and overlap no
#: certain face, of which they would be a part, by more than this.
_LARGE_SCORE, _LARGE_PX, _APART_OVERLAP = 0.5, 48.0, 0.1
#: The main face of a photo: the largest, as in the operation, or, for photos cropped around a labelled person, the one
#: nearest to the centre that is not much smaller.
Preference = Literal["largest", "central"]
_CENTRAL_AREA = 0.25  # how much smaller the central face may be than the largest, in area
#: The share of detections at a score that are faces, as log odds: on wider-natural 22 % at 0.35, 31 % at 0.45, 54 % at
#: 0.55, 68 % at 0.65, 97 % at 0.78, 99 % at 0.83, all 417 from 0.85 on (`python benchmarks/detection.py`). From
#: there the curve rises steeply, so that clear faces reach 99.9.
_CONFIDENCE_SCORES = (0.0, 0.3, 0.45, 0.55, 0.65, 0.725, 0.775, 0.85, 0.93, 1.0)
_CONFIDENCE_LOG_ODDS = (-4.0, -1.6, -0.8, 0.15, 0.8, 2.0, 3.4, 5.5, 8.0, 12.0)


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces in pixels of the picture they were found in, best score first.

    `boxes` (N, 4) float32 as x1, y1, x2, y2, which may leave the picture; `scores` (N,) float32, 0 to 1; `points`
    (N, 5, 2) float32 as x, y: left eye, right eye, nose, left and right mouth corner, left being the picture's left on
    an upright face. Coordinates are continuous: the first pixel reaches from 0 to 1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        return type(self)(self.boxes[which], self.scores[which], self.points[which])

    @property
    def sides_px(self) -> NDArray[np.float32]:
        """The longer side of each box, (N,)."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1), np.float32)

    def scaled(self, across: float, down: float) -> Self:
        """The same faces in a picture `across` times as wide and `down` times as high."""
        factors = np.array([across, down, across, down], np.float32)
        return type(self)(self.boxes * factors, self.scores, self.points * factors[:2])


class Detector(Protocol):
    """A face detector: prepares the input of a network and interprets its outputs."""

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3) of any size, searched at just this size."""
        ...


def find_faces(detector: Detector, size: Size, picture: Callable[[Size], NDArray[np.uint8]]) -> Detections:
    """The faces of a photo of `size`, not rotated, in px of the photo.

    `picture` gives its RGB pixels (height, width, 3) at a size; it is called once or twice.
    """
    first, fine = search_sizes(*size)
    faces = _searched(detector, size, picture(first))
    scale = first[0] / size[0]
    if (np.ptp(faces.boxes[:, [0, 2]], axis=1) * scale < _SMALL_PX).any() or not (faces.scores >= CERTAIN_SCORE).any():
        faces, _ = merged([_searched(detector, size, picture(fine)), faces])
    certain = faces.scores >= CERTAIN_SCORE
    if not certain.any():
        return faces[:0]
    apart = overlaps(faces.boxes, faces[certain].boxes).max(axis=1) < _APART_OVERLAP
    small = np.ptp(faces.boxes[:, [0, 2]], axis=1) * scale < _LARGE_PX
    return faces[certain | (apart & (small | (faces.scores >= _LARGE_SCORE)))]


def search_sizes(width: int, height: int) -> tuple[Size, Size]:
    """The sizes, multiples of 32, at which a photo of `width` x `height` is searched first, and for small faces."""
    first = min(max(_FIRST_SHARE * width * height, _FIRST_LEAST_PIXELS), _FIRST_MOST_PIXELS)
    return _size(width, height, first), _size(width, height, _FINE_PIXELS)


def merged(searches: Sequence[Detections]) -> tuple[Detections, NDArray[np.intp]]:
    """The faces of several searches of one photo, the best of those that overlap; and each's search, (N,)."""
    boxes, scores, points = (
        np.concatenate([getattr(each, name) for each in searches]) for name in Detections.__slots__
    )
    of = np.repeat(np.arange(len(searches)), [len(each) for each in searches])
    kept, voted = suppress(boxes, scores)
    return Detections(voted, scores[kept], points[kept]), of[kept]


def in_order(faces: Detections, prefer: Preference, size: Size) -> NDArray[np.intp]:
    """The indices of the faces by rank: the largest first, or the central one and then the largest."""
    sizes = areas(faces.boxes)
    order = np.argsort(-sizes, kind="stable")
    if prefer == "central" and len(order) > 1:
        centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        distances = np.linalg.norm(centres - np.array(size) / 2, axis=1)
        central = np.argmin(np.where(sizes >= _CENTRAL_AREA * sizes.max(), distances, np.inf))
        order = np.concatenate([[central], order[order != central]])
    return order


def confidences(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """How sure it is that each detection is a face, 0 to 100, from the detector's scores (N,), rising with them."""
    log_odds = np.interp(scores, _CONFIDENCE_SCORES, _CONFIDENCE_LOG_ODDS)
    return np.asarray(100 / (1 + np.exp(-log_odds)), np.float64)


def _searched(detector: Detector, size: Size, pixels: NDArray[np.uint8]) -> Detections:
    """What a detector finds in a picture of the photo, in px of the photo; PackInvalid if that is not finite."""
    height, width = pixels.shape[:2]
    faces = detector.detect(pixels)
    if not (np.isfinite(faces.boxes).all() and np.isfinite(faces.points).all()):
        raise PackInvalid("the detector gives NaN or infinity for a face: its weights or their input are wrong")
    return faces.scaled(size[0] / width, size[1] / height)


def _size(width: int, height: int, pixels: float) -> Size:
    scale = min(math.sqrt(pixels / (width * height)), _MOST_ENLARGEMENT)
    across, down = (max(1, round(side * scale / _MULTIPLE)) * _MULTIPLE for side in (width, height))
    return across, down
