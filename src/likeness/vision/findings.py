"""What the findings of one search say: which are faces, how sure that is, and what gives a reason to search further.

The figures were measured with CenterFace on the sample portraits, skimage's astronaut, LFW and WIDER
(benchmarks/detection.py).
"""

import numpy as np
from numpy.typing import NDArray

from likeness.vision.detector import SAME_FACE_OVERLAP, Detections
from likeness.vision.suppression import areas, overlaps

#: A face has this score at least. Where the detector answers more weakly, a finer search may find one. Detectors report
#: such answers too: CenterFace from 0.15 on. Without a scout 7 in 10 photos of LFW then end before the finest search,
#: and of 183 such none lacks a face; from 0.25 on 2 of 205 do (benchmarks/coarse_to_fine.py).
FOUND_SCORE = 0.25

#: Below this score there is doubt, and more is tried; what only a further search finds must reach it. Pictures without
#: faces (noise, textures, documents) stay below.
CERTAIN_SCORE = 0.5
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
_LEVEL_ROLL_DEG = 25.0


def confidences(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """How sure it is that each detection is a face, 0 to 100, from the detector's scores (N,), rising with them."""
    log_odds = np.interp(scores, _CONFIDENCE_SCORES, _CONFIDENCE_LOG_ODDS)
    return np.asarray(100 / (1 + np.exp(-log_odds)), np.float64)


def beside(seen: Detections, settled: Detections) -> Detections:
    """Those that are no settled face, nor a weak answer to a part of one."""
    others = seen[overlaps(seen.boxes, settled.boxes).max(axis=1) < SAME_FACE_OVERLAP]
    if not len(others):
        return others
    return others[~_within(others, settled) | (others.scores >= CERTAIN_SCORE)]


def ordinary(faces: Detections, shape: tuple[int, ...]) -> bool:
    """Whether the faces are certain, level, and neither narrow nor wide: coarsely seen, others have coarse points."""
    level = np.abs(faces.leaning[0]) <= _LEVEL_ROLL_DEG
    return (
        bool(level[faces.scores >= CERTAIN_SCORE].all())
        and not turns_worth_trying(faces, shape)
        and stretch(faces) == 1
    )


def comfortable(seen: Detections, least_px: float) -> NDArray[np.bool_]:
    """Which faces (N,) are certain and so wide that they are seen well."""
    return (seen.scores >= CERTAIN_SCORE) & (seen.boxes[:, 2] - seen.boxes[:, 0] >= least_px)


def largest_is_settled(faces: Detections, least_px: float) -> bool:
    """Whether the largest face is seen well, and so are all that have half its width: one of them may be central."""
    widths = faces.boxes[:, 2] - faces.boxes[:, 0]
    large = widths >= widths.max(initial=0) / 2
    return bool(len(faces) and comfortable(faces, least_px)[large].all())


def calls_for_more(seen: Detections, least_px: float) -> bool:
    """Whether among what a search saw, px of the photo, something may be better seen more finely."""
    settled = comfortable(seen, least_px)
    if not settled.any():
        return True
    unsettled = (seen.scores >= FOUND_SCORE) | ~_within(seen, seen[settled])
    return bool(np.any(unsettled & ~settled))


def _within(faces: Detections, others: Detections) -> NDArray[np.bool_]:
    """Whether the middle of each of the faces (N,) lies within one of the others."""
    middles = (faces.boxes[:, None, :2] + faces.boxes[:, None, 2:]) / 2
    inside = (middles > others.boxes[None, :, :2]) & (middles < others.boxes[None, :, 2:])
    return np.asarray(np.any(np.all(inside, axis=2), axis=1), np.bool_)


def plausible(faces: Detections) -> Detections:
    """The faces without those whose low score nothing makes up for."""
    if bool((faces.scores >= _LONE_SCORE).all()):
        return faces
    sizes = areas(faces.boxes)
    largest_certain = sizes[faces.scores >= CERTAIN_SCORE].max(initial=0)
    accompanied = faces.scores.max(initial=0) >= _LONE_SCORE
    return faces[(faces.scores >= _LONE_SCORE) | (accompanied & ((sizes <= largest_certain) | (largest_certain == 0)))]


def is_doubtful(faces: Detections) -> bool:
    """Whether no face is certain; the best comes first."""
    return not len(faces) or bool(faces.scores[0] < CERTAIN_SCORE)


def stretch(faces: Detections) -> float:
    """By how much to widen (above 1) or narrow the photo so that its faces look ordinary; 1 where they do."""
    level = faces[(faces.scores >= CERTAIN_SCORE) & (np.abs(faces.leaning[0]) <= _LEVEL_ROLL_DEG)]
    if not len(level):
        return 1.0
    sides = level.boxes[:, 2:] - level.boxes[:, :2]
    shapes = np.sort(sides[:, 1] / np.maximum(sides[:, 0], 1e-6))
    shape = float(shapes[(len(shapes) - 1) // 2] + shapes[len(shapes) // 2]) / 2  # the median
    group = len(level) >= _GROUP
    if shape > (_SQUEEZED_GROUP if group else _SQUEEZED_FACE):
        return min(shape / _HEIGHT_PER_WIDTH * _STRETCH_BEYOND, _MOST_STRETCH)
    if shape < (_WIDENED_GROUP if group else _WIDENED_FACE):
        return max(shape / _HEIGHT_PER_WIDTH / _STRETCH_BEYOND, 1 / _MOST_STRETCH)
    return 1.0


def turns_worth_trying(faces: Detections, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The clockwise quarter turns that may show the faces better: all, where nothing says which."""
    if is_doubtful(faces):
        return (1, 2, 3)
    rolls, unlike = faces.leaning
    sizes = areas(faces.boxes)
    weights = faces.scores * sizes
    main = int(np.argmax(weights))
    prominent = sizes[main] > _PROMINENT * shape[0] * shape[1]
    if prominent and faces.scores[main] < _CLEAR_SCORE and unlike[main] > _UNLIKE_A_FACE:
        return (1, 2, 3)
    leaning = np.abs(rolls) > _UPRIGHT_ROLL_DEG
    if weights[leaning].sum() * 2 < weights.sum():
        return ()
    return tuple(sorted({int(turns) for turns in np.rint(-rolls[leaning] / 90) % 4} - {0}))


def evidence(faces: Detections, turns: int) -> float:
    """How much speaks for `turns` clockwise quarter turns setting the faces upright."""
    leaning = (faces.leaning[0] + 90 * turns + 180) % 360 - 180
    upright = np.abs(leaning) <= _UPRIGHT_ROLL_DEG
    return float((faces.scores * np.sqrt(areas(faces.boxes)))[upright].sum())
