"""Searching a photo for faces: at which sizes, and what more is tried when the first look gives a reason.

Every photo is searched coarsely first, and more finely until its largest face is settled: certain, and comfortably
large in that search. Whatever is searched later, settled faces stay as that search saw them, and a source photo is
done. Other photos are done where nothing but comfortable faces answered, and the search was fine enough for what is
promised: a face of 40 px in 1920x1080. Where a scout is there, a detector that takes a fifth of the time, it is asked
whether such a search is worth it. If it is sure of another face, they are searched at `working_size` at last
(`likeness.vision.search_sizes`); if it is in doubt of something, only that is (`likeness.vision.spots`). Were the faces
that it is sure of enough, 98 instead of 99 of 100 faces 40 px wide would be found beside a large one
(benchmarks/small_faces.py). Then

- nothing certain was found: once more with the photo shrunk into a margin, for faces that fill or leave the frame;
- the faces are all too narrow or too wide: the photo was squeezed, and is searched stretched back;
- most faces lie on their side or upside down, or there still is none: turned by right angles (decision 14).

Source and target photos begin alike and settle the same faces, so that a photo is exactly like itself, and source and
target may change places. What gives a reason is said in `likeness.vision.findings`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likeness.crew import Once
from likeness.pyramid import Picture, Pyramid, pyramid
from likeness.vision.detector import Detections, Detector, largest, united
from likeness.vision.findings import (
    CERTAIN_SCORE,
    FOUND_SCORE,
    beside,
    calls_for_more,
    comfortable,
    evidence,
    is_doubtful,
    largest_is_settled,
    ordinary,
    plausible,
    stretch,
    turns_worth_trying,
)
from likeness.vision.search_sizes import Rung, Size, ladder, multiple, resized, working_size
from likeness.vision.spots import search_spots
from likeness.vision.turned import turned, turned_back

__all__ = [
    "Detections",
    "Detector",
    "FaceSearch",
    "begin",
    "find_faces",
    "largest",
    "working_size",
]

#: The margin search: the photo's longer side and the margin around it, in pixels; the margin's grey.
_MARGIN_SIDE_PX, _MARGIN_PX = 208, 56
_MARGIN_GREY = 114
#: A squeezed photo is searched at this many pixels, stretched back.
_STRETCHED_PIXELS = 400_000

_NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


@dataclass(frozen=True, slots=True)
class _Search:
    """How a photo is searched: by whom, at which sizes, and whether only its largest face matters."""

    detector: Detector
    scout: Detector | None
    rungs: tuple[Rung, ...]
    largest_only: bool

    @property
    def may_ask_scout(self) -> bool:
        """Whether the scout is asked where coarser searches settle faces."""
        return self.scout is not None and not self.largest_only

    def turned(self) -> "_Search":
        """The same for the photo turned by a right angle."""
        return replace(self, rungs=tuple(rung.turned() for rung in self.rungs))


class FaceSearch:
    """The search of one `photo`, begun. `settled` are faces that `finish` will find too, just as they are, where all
    that it asks is whether there are others; else there are none.
    """

    def __init__(
        self, search: _Search, photo: Pyramid, *, search_rotations: bool, offer: Callable[[Callable[[], object]], None]
    ) -> None:
        self.photo = photo
        self._search = search
        self._rotations = search_rotations
        self._for_scout = _shown_to_scout(search, photo)
        self._begun = _begun(search, photo, partial(offer, self._for_scout if search.may_ask_scout else _nothing))
        self._found: tuple[Detections, int] | None = None
        self._finishing = Lock()

    @property
    def settled(self) -> Detections:
        """Faces in px of the photo."""
        return self._begun.settled if self._begun.next == "scout" else _NOTHING

    @property
    def smallest_px(self) -> float:
        """The longer side of the smallest face that has been seen so far, px of the photo; infinite without any, and
        where nothing more is asked.
        """
        boxes = self._begun.seen.boxes
        return float((boxes[:, 2:] - boxes[:, :2]).max(axis=1).min(initial=np.inf))

    @property
    def scouted_pixels(self) -> int:
        """How many pixels the scout will look at where there are settled faces."""
        width, height = _scouted(self._search.rungs)
        return width * height

    def finish(self) -> tuple[Detections, int]:
        """What `find_faces` returns; searched for once, however often and by whomever it is asked."""
        with self._finishing:
            if self._found is None:
                self._found = self._all()
            return self._found

    def _all(self) -> tuple[Detections, int]:
        search, photo = self._search, self.photo
        found = {0: _ended(search, photo, self._begun, self._for_scout)}
        # The picture is not asked for again.
        self._for_scout = _shown_to_scout(search, photo)
        # Settled faces stand upright: they would not be settled else.
        if self._rotations and found[0] is not self._begun.settled:
            for turns in turns_worth_trying(found[0], photo.shape):
                found[turns] = _search_turned(search, photo.pixels, turns)
            if len(found) == 2 and not any(evidence(faces, turns) for turns, faces in found.items()):
                found |= {turns: _search_turned(search, photo.pixels, turns) for turns in {1, 2, 3} - found.keys()}
        if len(found) == 1:
            return plausible(found[0]), 0
        best = max(found, key=lambda turns: (evidence(found[turns], turns), -turns))
        others = [faces[faces.scores >= CERTAIN_SCORE] for turns, faces in found.items() if turns != best]
        return plausible(united([found[best], *others])), best


def find_faces(detector: Detector, photo: Picture, **how: Any) -> tuple[Detections, int]:
    """The faces in an RGB photo (height, width, 3), in px of it, and the clockwise quarter turns to set them upright.

    The number (0 to 3) is 0 where most faces stand within some 50 degrees, and where none was found. `how` is as for
    `begin`.
    """
    return begin(detector, photo, **how).finish()


def begin(
    detector: Detector,
    photo: Picture,
    *,
    search_rotations: bool = True,
    photo_size: Size | None = None,
    largest_only: bool = False,
    scout: Detector | None = None,
    offer: Callable[[Callable[[], object]], None] = lambda _: None,
) -> FaceSearch:
    """A search of an RGB photo (height, width, 3), with its coarse part done.

    Without `search_rotations` the photo is searched only as it stands. Give one no smaller than `working_size`, or
    whole; where it is a reduced decoding, `photo_size` is the photo's own width and height. With `largest_only`, faces
    much smaller than the largest may be left out. `scout` is a quicker detector: where all that it sees is already
    settled, no finer search is made, and where it is in doubt of little else, only that is searched
    (`likeness.vision.spots`). Before the detector is asked for the first time, `offer` is given work that may be done
    meanwhile by somebody else, as it is likely to be needed in the end: the picture for the scout.
    """
    levels = pyramid(photo)
    rungs = ladder(*(photo_size or levels.shape[1::-1]))
    search = _Search(detector, scout, rungs, largest_only)
    return FaceSearch(search, levels, search_rotations=search_rotations, offer=offer)


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """What the coarser searches say: the faces that they settle; what is still to be asked before those are all; and
    then what they saw, px of the photo.
    """

    settled: Detections
    next: Literal["nothing", "scout", "fine search"]
    seen: Detections = _NOTHING


def _search(search: _Search, photo: Pyramid) -> Detections:
    """The faces of a photo, whichever way they stand: no more finely than is needed."""
    return _ended(search, photo, _begun(search, photo), _shown_to_scout(search, photo))


def _nothing() -> None:
    """No work."""


def _begun(search: _Search, photo: Pyramid, offer: Callable[[], object] = _nothing) -> _Begun:
    """The coarser searches, as far as they are needed. `offer` is called when the first picture is made."""
    settled = faces = _NOTHING
    for rung in search.rungs[:-1]:
        if len(settled) and (search.scout or not rung.keeps_promise):
            continue
        picture = resized(photo, rung.size)
        if rung is search.rungs[0]:
            offer()
        seen = _seen_in(picture, photo, search.detector)
        faces = seen[seen.scores >= FOUND_SCORE]
        least_px = search.detector.seen_well_px * photo.shape[1] / rung.size[0]
        if not len(settled):
            if not ordinary(faces, photo.shape):
                break
            if largest_is_settled(faces, least_px):
                if search.largest_only:
                    return _Begun(faces, "nothing")
                settled = faces[comfortable(faces, least_px)]
        if rung.keeps_promise:
            if not calls_for_more(seen, least_px):
                return _Begun(united([settled, faces]), "nothing")
            return _Begun(settled, "fine search", faces)
    return _Begun(settled, "scout" if len(settled) and search.scout else "fine search", faces)


def _ended(search: _Search, photo: Pyramid, begun: _Begun, for_scout: Once[NDArray[np.uint8]]) -> Detections:
    """The settled faces and, if that is to be asked, those beside them."""
    if begun.next == "nothing":
        return begun.settled
    settled, size = begun.settled, search.rungs[-1].size
    if begun.next == "scout" and search.scout:
        others = beside(_seen_in(for_scout(), photo, search.scout), settled)
        if not len(others):
            return settled
        # Beside a face that the scout is sure of there may be others that it misses.
        in_doubt = bool((others.scores < CERTAIN_SCORE).all())
        seen = search_spots(search.detector, photo, size, others.boxes) if in_doubt else None
        if seen is not None:
            return united([settled, beside(seen[seen.scores >= FOUND_SCORE], settled)])
    return united([settled, _search_finely(search.detector, photo, size)])


def _shown_to_scout(search: _Search, photo: Pyramid) -> Once[NDArray[np.uint8]]:
    """The picture for the scout."""
    return Once(lambda: resized(photo, _scouted(search.rungs)))


def _scouted(rungs: tuple[Rung, ...]) -> Size:
    """The size of the coarsest search that keeps the promise."""
    return next(rung.size for rung in rungs if rung.keeps_promise)


def _search_finely(detector: Detector, photo: Pyramid, size: Size) -> Detections:
    """The faces of a photo, searched at `size` first, and further where that gives a reason."""
    height, width = photo.shape[:2]
    faces = _found_at(detector, photo, size)
    if is_doubtful(faces):
        wide = _searched_in_margin(detector, photo)
        return united([wide[wide.scores >= CERTAIN_SCORE], faces])
    wider = stretch(faces)
    if wider == 1:
        return faces
    scale = np.sqrt(_STRETCHED_PIXELS / (width * height))
    stretched = multiple(width * scale * np.sqrt(wider)), multiple(height * scale / np.sqrt(wider))
    better = _found_at(detector, photo, stretched)
    return better if better.scores.sum() > faces.scores.sum() else faces


def _found_at(detector: Detector, photo: Pyramid, size: Size) -> Detections:
    """The faces found with the photo resized to `size`, in px of the photo."""
    seen = _searched_at(detector, photo, size)
    return seen[seen.scores >= FOUND_SCORE]


def _searched_at(detector: Detector, photo: Pyramid, size: Size) -> Detections:
    """The same with what the detector answers more weakly."""
    return _seen_in(resized(photo, size), photo, detector)


def _seen_in(picture: NDArray[np.uint8], photo: Pyramid, detector: Detector) -> Detections:
    """What a detector sees in a `picture` (height, width, 3) of the photo, in px of the photo."""
    height, width = picture.shape[:2]
    return detector.detect(picture).scaled(photo.shape[1] / width, photo.shape[0] / height)


def _searched_in_margin(detector: Detector, photo: Pyramid) -> Detections:
    """The faces found with the photo shrunk and set into a grey margin: those too large, or cut by the frame."""
    height, width = photo.shape[:2]
    scale = _MARGIN_SIDE_PX / max(width, height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    shape = (multiple(down + 2 * _MARGIN_PX), multiple(across + 2 * _MARGIN_PX), 3)
    canvas = np.full(shape, _MARGIN_GREY, np.uint8)
    canvas[_MARGIN_PX : _MARGIN_PX + down, _MARGIN_PX : _MARGIN_PX + across] = resized(photo, (across, down))
    faces = detector.detect(canvas)
    moved = Detections(faces.boxes - _MARGIN_PX, faces.scores, faces.points - _MARGIN_PX)
    return moved.scaled(width / across, height / down)


def _search_turned(search: _Search, pixels: NDArray[np.uint8], turns: int) -> Detections:
    """The certain faces of the photo turned clockwise by quarter turns, in the frame of the photo as stored."""
    faces = _search(search.turned() if turns % 2 else search, Pyramid(turned(pixels, turns)))
    return turned_back(faces[faces.scores >= CERTAIN_SCORE], turns, pixels.shape)
