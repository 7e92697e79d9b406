"""Searching a photo for faces: at which size, and what more is tried when the first look gives a reason.

A photo is searched once, at a size chosen so that a face of 40 px in 1920x1080 is still found (`working_size`). Then

- nothing certain was found: once more with the photo shrunk into a margin, for faces that fill or leave the frame;
- the faces are all too narrow or too wide: the photo was squeezed, and is searched stretched back;
- most faces lie on their side or upside down, or there still is none: turned by right angles (decision 14).

Ordinary photos of upright faces need the one search. The figures below were measured with CenterFace on the sample
portraits, skimage's astronaut, LFW and WIDER (benchmarks/detection.py).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.vision.detector import Detections, Detector, largest, united
from likeness.vision.suppression import areas

__all__ = ["Detections", "Detector", "confidences", "find_faces", "largest", "working_size"]

#: Photos are searched at the pixels of 800x448, and enlarged up to those of 640x480. Of faces 40 px wide in 1920x1080
#: all are found from 704x384 on, of those of 30 px 99 in 100 at 800x448 (benchmarks/small_faces.py). Large photos of
#: another shape get more pixels, up to those of 768x576, so that their longer side too is searched as finely.
_USUAL_PIXELS, _MOST_PIXELS = 800 * 448, 768 * 576
_PROMISED_SIDE_PX, _SEARCHED_SIDE_PX = 1920, 800
_FEWEST_PIXELS = 640 * 480
_MOST_ENLARGEMENT = 2.0
#: Detectors work on multiples of 32.
_MULTIPLE = 32

#: Below this score there is doubt, and more is tried; what only a further search finds must reach it. Pictures without
#: faces (noise, textures, documents) stay below.
_CERTAIN_SCORE = 0.5
#: The margin search: the photo's longer side and the margin around it, in pixels; the margin's grey.
_MARGIN_SIDE_PX, _MARGIN_PX = 208, 56
_MARGIN_GREY = 114

#: What share of detections at a score are faces, as log odds: on WIDER 42 % at 0.25, 80 % at 0.4, 92 % at 0.5, 98 % at
#: 0.6 (overlap 0.3 with an annotated face). From 0.7 on no error in 905 detections of WIDER and LFW; the curve
#: goes on steeply there, so that what is clearly a face reaches 99.9. benchmarks/detection.py prints the shares.
_CONFIDENCE_SCORES = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)
_CONFIDENCE_LOG_ODDS = (-3.0, -0.3, 1.4, 2.5, 3.9, 6.95, 12.0)

#: A doubtful face counts only in company: in a photo where no face reaches this score there is none (lone findings
#: below it are textures more often than faces), and one larger than all certain faces, for which it would stand in as
#: the largest, needs it too.
_LONE_SCORE = 0.4

#: Turned further than this, a face is found, but its points are coarse: errors of 0.2 eye distances at 60 degrees.
_UPRIGHT_ROLL_DEG = 50.0
#: Upside down, points may seem to stand upright; they then look unlike a face, and the score is under a clear face's.
#: That is asked only of a face with this share of the photo: the points of small faces say too little.
_UNLIKE_A_FACE = 0.1
_PROMINENT = 0.01
_CLEAR_SCORE = 0.75

#: Height over width of the boxes of ordinary upright faces: 1.30, and for 95 of 100 faces of LFW up to 1.42. Boxes of
#: squeezed faces follow the squeeze only in part, so the stretch goes further than they say.
_HEIGHT_PER_WIDTH = 1.30
_SQUEEZED_GROUP, _SQUEEZED_FACE = 1.33, 1.55
_WIDENED_GROUP, _WIDENED_FACE = 1.12, 1.00
_GROUP = 3
_STRETCH_BEYOND = 1.3
_MOST_STRETCH = 2.0
_STRETCHED_PIXELS = 400_000
_LEVEL_ROLL_DEG = 25.0


def find_faces(
    detector: Detector,
    pixels: NDArray[np.uint8],
    *,
    search_rotations: bool = True,
    photo_size: tuple[int, int] | None = None,
) -> tuple[Detections, int]:
    """The faces in RGB pixels (height, width, 3), in their frame, and the clockwise quarter turns to set them upright.

    The number (0 to 3) is 0 where most faces stand within some 50 degrees, and where none was found. Without
    `search_rotations` the photo is searched only as it stands. Give pixels no smaller than `working_size`, or all;
    where they are a reduced decoding, `photo_size` is the photo's own width and height.
    """
    size = working_size(*(photo_size or pixels.shape[1::-1]))
    found = {0: _search(detector, pixels, size)}
    if search_rotations:
        for turns in _turns_worth_trying(found[0], pixels.shape):
            found[turns] = _search_turned(detector, pixels, turns, size)
        if len(found) == 2 and not any(_evidence(faces, turns) for turns, faces in found.items()):
            found |= {turns: _search_turned(detector, pixels, turns, size) for turns in {1, 2, 3} - found.keys()}
    best = max(found, key=lambda turns: (_evidence(found[turns], turns), -turns))
    others = [faces[faces.scores >= _CERTAIN_SCORE] for turns, faces in found.items() if turns != best]
    return _plausible(united([found[best], *others])), best


def confidences(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """How sure it is that each detection is a face, 0 to 100, from the detector's scores (N,), rising with them."""
    log_odds = np.interp(scores, _CONFIDENCE_SCORES, _CONFIDENCE_LOG_ODDS)
    return np.asarray(100 / (1 + np.exp(-log_odds)), np.float64)


def working_size(width: int, height: int) -> tuple[int, int]:
    """The width and height in pixels at which a photo of `width` x `height` is searched, multiples of 32.

    A face of 40 px in 1920x1080 has 17 px there; larger photos are shrunk more, so that the smallest face that is found
    grows with them.
    """
    scale = float(np.sqrt(_USUAL_PIXELS / (width * height)))
    as_promised = _SEARCHED_SIDE_PX / max(width, height, _PROMISED_SIDE_PX)
    scale = min(max(scale, as_promised), float(np.sqrt(_MOST_PIXELS / (width * height))))
    if scale > 1:
        scale = min(max(1.0, float(np.sqrt(_FEWEST_PIXELS / (width * height)))), _MOST_ENLARGEMENT)
    return _multiple(width * scale), _multiple(height * scale)


def _multiple(side: float) -> int:
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)


def _search(detector: Detector, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
    """The faces of a photo, whichever way they stand, searched at `size` (width, height) first."""
    height, width = pixels.shape[:2]
    faces = _searched_at(detector, pixels, size)
    if _is_doubtful(faces):
        wide = _searched_in_margin(detector, pixels)
        return united([faces, wide[wide.scores >= _CERTAIN_SCORE]])
    stretch = _stretch(faces)
    if stretch == 1:
        return faces
    scale = np.sqrt(_STRETCHED_PIXELS / (width * height))
    stretched = _multiple(width * scale * np.sqrt(stretch)), _multiple(height * scale / np.sqrt(stretch))
    better = _searched_at(detector, pixels, stretched)
    return better if better.scores.sum() > faces.scores.sum() else faces


def _plausible(faces: Detections) -> Detections:
    """The faces without those whose low score nothing makes up for."""
    sizes = areas(faces.boxes)
    largest_certain = sizes[faces.scores >= _CERTAIN_SCORE].max(initial=0)
    accompanied = faces.scores.max(initial=0) >= _LONE_SCORE
    return faces[(faces.scores >= _LONE_SCORE) | (accompanied & ((sizes <= largest_certain) | (largest_certain == 0)))]


def _is_doubtful(faces: Detections) -> bool:
    return not len(faces) or bool(faces.scores[0] < _CERTAIN_SCORE)


def _searched_at(detector: Detector, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
    """The faces found with the photo resized to `size` (width, height), in the frame of `pixels`."""
    return detector.detect(_resized(pixels, size)).scaled(pixels.shape[1] / size[0], pixels.shape[0] / size[1])


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if size == pixels.shape[1::-1]:
        return pixels
    halves = pixels.shape[1] >= 2 * size[0] or pixels.shape[0] >= 2 * size[1]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if halves else cv2.INTER_LINEAR), np.uint8)


def _searched_in_margin(detector: Detector, pixels: NDArray[np.uint8]) -> Detections:
    """The faces found with the photo shrunk and set into a grey margin: those too large, or cut by the frame."""
    height, width = pixels.shape[:2]
    scale = _MARGIN_SIDE_PX / max(width, height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    shape = (_multiple(down + 2 * _MARGIN_PX), _multiple(across + 2 * _MARGIN_PX), 3)
    canvas = np.full(shape, _MARGIN_GREY, np.uint8)
    canvas[_MARGIN_PX : _MARGIN_PX + down, _MARGIN_PX : _MARGIN_PX + across] = _resized(pixels, (across, down))
    faces = detector.detect(canvas)
    moved = Detections(faces.boxes - _MARGIN_PX, faces.scores, faces.points - _MARGIN_PX)
    return moved.scaled(width / across, height / down)


def _stretch(faces: Detections) -> float:
    """By how much to widen (above 1) or narrow the photo so that its faces look ordinary; 1 where they do."""
    level = faces[(faces.scores >= _CERTAIN_SCORE) & (np.abs(faces.leaning()[0]) <= _LEVEL_ROLL_DEG)]
    if not len(level):
        return 1.0
    sides = level.boxes[:, 2:] - level.boxes[:, :2]
    shape = float(np.median(sides[:, 1] / np.maximum(sides[:, 0], 1e-6)))
    group = len(level) >= _GROUP
    if shape > (_SQUEEZED_GROUP if group else _SQUEEZED_FACE):
        return min(shape / _HEIGHT_PER_WIDTH * _STRETCH_BEYOND, _MOST_STRETCH)
    if shape < (_WIDENED_GROUP if group else _WIDENED_FACE):
        return max(shape / _HEIGHT_PER_WIDTH / _STRETCH_BEYOND, 1 / _MOST_STRETCH)
    return 1.0


def _turns_worth_trying(faces: Detections, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The clockwise quarter turns that may show the faces better: all, where nothing says which."""
    if _is_doubtful(faces):
        return (1, 2, 3)
    rolls, unlike = faces.leaning()
    weights = faces.scores * areas(faces.boxes)
    main = int(np.argmax(weights))
    prominent = areas(faces.boxes)[main] > _PROMINENT * shape[0] * shape[1]
    if prominent and faces.scores[main] < _CLEAR_SCORE and unlike[main] > _UNLIKE_A_FACE:
        return (1, 2, 3)
    leaning = np.abs(rolls) > _UPRIGHT_ROLL_DEG
    if weights[leaning].sum() * 2 < weights.sum():
        return ()
    return tuple(sorted({int(turns) for turns in np.rint(-rolls[leaning] / 90) % 4} - {0}))


def _evidence(faces: Detections, turns: int) -> float:
    """How much speaks for `turns` clockwise quarter turns setting the faces upright."""
    leaning = (faces.leaning()[0] + 90 * turns + 180) % 360 - 180
    upright = np.abs(leaning) <= _UPRIGHT_ROLL_DEG
    return float((faces.scores * np.sqrt(areas(faces.boxes)))[upright].sum())


def _turned(pixels: NDArray[np.uint8], turns: int) -> NDArray[np.uint8]:
    """The photo turned clockwise by quarter turns."""
    codes = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return np.asarray(cv2.rotate(pixels, codes[turns]), np.uint8)


def _search_turned(detector: Detector, pixels: NDArray[np.uint8], turns: int, size: tuple[int, int]) -> Detections:
    """The certain faces of the photo turned clockwise by quarter turns, in the frame of the photo as stored."""
    faces = _search(detector, _turned(pixels, turns), size[::-1] if turns % 2 else size)
    return _turned_back(faces[faces.scores >= _CERTAIN_SCORE], turns, pixels.shape)


def _turned_back(faces: Detections, turns: int, shape: tuple[int, ...]) -> Detections:
    """Faces of the photo turned clockwise by `turns`, in the frame of the photo as stored, whose shape is given."""
    height, width = shape[:2]
    corners = _points_turned_back(faces.boxes.reshape(-1, 2, 2), turns, width, height)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return Detections(boxes, faces.scores, _points_turned_back(faces.points, turns, width, height))


def _points_turned_back(points: NDArray[np.float32], turns: int, width: int, height: int) -> NDArray[np.float32]:
    x, y = points[..., 0], points[..., 1]
    turned = {1: (y, height - x), 2: (width - x, height - y), 3: (width - y, x)}[turns]
    return np.stack(turned, axis=-1).astype(np.float32)
