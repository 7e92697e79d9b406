"""A fine search of the places where something may be, instead of the whole photo."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.pyramid import Pyramid
from likeness.vision.detector import Detections, Detector
from likeness.vision.search_sizes import MULTIPLE, Size, resized

#: How much of the surroundings is shown, in longer sides of the box that asked for it, and in px of the search.
_SIDES, _LEAST_SIDE_PX = 2.5, 128
#: Where the spots have more of the photo than this, all of it is searched.
_MOST_OF_PHOTO = 0.5
#: A finding that comes so near to where a spot was cut out, px of the search, may be a part of a face.
_CUT_PX = 2.0


@dataclass(frozen=True, slots=True)
class _Spot:
    """Columns `left` to `right` and rows `top` to `bottom` of a picture."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def pixels(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def meets(self, other: "_Spot") -> bool:
        """Whether the two have pixels in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def search_spots(detector: Detector, photo: Pyramid, size: Size, boxes: NDArray[np.float32]) -> Detections | None:
    """What `detector` sees around each of `boxes` (N, 4), px of the photo, with the photo resized to `size`.

    In px of the photo. None where so much would have to be searched that all of it may be as well.
    """
    spots = _spots(boxes.astype(np.float64) * np.tile(np.array(size) / photo.shape[1::-1], 2), size)
    if sum(spot.pixels for spot in spots) > _MOST_OF_PHOTO * size[0] * size[1]:
        return None
    picture = resized(photo, size)
    seen = [_seen_in(detector, picture, spot) for spot in spots]
    together = Detections(
        np.concatenate([each.boxes for each in seen]),
        np.concatenate([each.scores for each in seen]),
        np.concatenate([each.points for each in seen]),
    )
    return together.scaled(photo.shape[1] / size[0], photo.shape[0] / size[1])


def _seen_in(detector: Detector, picture: NDArray[np.uint8], spot: _Spot) -> Detections:
    """The faces in a spot, in px of the picture, without those that may reach out of it."""
    seen = detector.detect(np.ascontiguousarray(picture[spot.top : spot.bottom, spot.left : spot.right]))
    corner = np.array([spot.left, spot.top], np.float32)
    boxes = seen.boxes + np.tile(corner, 2)
    height, width = picture.shape[:2]
    whole = (
        ((boxes[:, 0] >= spot.left + _CUT_PX) | (spot.left == 0))
        & ((boxes[:, 1] >= spot.top + _CUT_PX) | (spot.top == 0))
        & ((boxes[:, 2] <= spot.right - _CUT_PX) | (spot.right == width))
        & ((boxes[:, 3] <= spot.bottom - _CUT_PX) | (spot.bottom == height))
    )
    return Detections(boxes, seen.scores, seen.points + corner)[whole]


def _spots(boxes: NDArray[np.float64], size: Size) -> list[_Spot]:
    """The spots around boxes (N, 4), px of a picture of `size`, none of which meet."""
    apart: list[_Spot] = []
    for box in boxes:
        spot = _around(box, size)
        while meeting := [other for other in apart if spot.meets(other)]:
            apart = [other for other in apart if other not in meeting]
            spot = _together([spot, *meeting], size)
        apart.append(spot)
    return apart


def _around(box: NDArray[np.float64], size: Size) -> _Spot:
    """A box with its surroundings."""
    margins_px = (max(_LEAST_SIDE_PX, _SIDES * float((box[2:] - box[:2]).max())) - (box[2:] - box[:2])) / 2
    (left, top), (right, bottom) = (box[:2] - margins_px).tolist(), (box[2:] + margins_px).tolist()
    return _fitted(left, top, right, bottom, size)


def _together(spots: Sequence[_Spot], size: Size) -> _Spot:
    """The least spot that holds all of them."""
    return _fitted(
        min(spot.left for spot in spots),
        min(spot.top for spot in spots),
        max(spot.right for spot in spots),
        max(spot.bottom for spot in spots),
        size,
    )


def _fitted(left: float, top: float, right: float, bottom: float, size: Size) -> _Spot:
    """A spot of these sides, made multiples of 32, and moved into the picture where it reaches out of it."""
    ends = []
    for low, high, whole in ((left, right, size[0]), (top, bottom, size[1])):
        length = min(whole, math.ceil(round(high - low) / MULTIPLE) * MULTIPLE)
        start = min(max(0, round((low + high - length) / 2)), whole - length)
        ends.append((start, start + length))
    return _Spot(ends[0][0], ends[1][0], ends[0][1], ends[1][1])
