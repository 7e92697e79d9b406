"""One photo → its faces, measured: found, landmarks fitted, pose and quality taken, the unfit left out, embedded."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from likeness.crew import NOBODY, ByOne, Crew
from likeness.description import DescribedFaces, Meanwhile, describe
from likeness.engine import Engine
from likeness.faces import OrientationCorrection, QualityFilter
from likeness.image import Image, Reduction
from likeness.measuring import MeasuredFace, finer_reduction, measure
from likeness.pyramid import Pyramid
from likeness.stopwatch import Stopwatch
from likeness.vision.detection import Detections, FaceSearch, begin, working_size
from likeness.vision.quality import QualityBar
from likeness.vision.suppression import areas

_CORRECTIONS: tuple[OrientationCorrection, ...] = ("ROTATE_0", "ROTATE_90", "ROTATE_180", "ROTATE_270")


#: Which of several faces a photo is about: the largest, as the operation has it, or, as in sets of photos that were cut
#: out around the person they are labelled with, the one nearest to the middle that is not much smaller.
Preference = Literal["largest", "central"]
#: How much smaller the central face may be than the largest, in area.
_CENTRAL_AREA = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class PhotoAnalysis:
    """What is known of a photo: `faces` that pass, largest first; how many were found at all; how it was turned.

    Where only the largest was asked for, `found` may leave out faces that are much smaller.
    `quarter_turns` counts the right angles by which the photo must be turned clockwise for its faces to stand upright.
    """

    image: Image
    faces: tuple[MeasuredFace, ...]
    found: int
    quarter_turns: int

    @property
    def orientation_correction(self) -> OrientationCorrection | None:
        """What the service used to estimate: how far the photo lies turned counterclockwise; None where EXIF says it.

        Decision 3; the meaning of the values is that of the service's API until 2021.
        """
        return None if self.image.orientation != 1 else _CORRECTIONS[self.quarter_turns]


@dataclass(frozen=True, slots=True, eq=False)
class DescribedPhoto:
    """A photo with its faces, measured and described."""

    analysis: PhotoAnalysis
    faces: DescribedFaces


def analyse(
    engine: Engine,
    image: Image,
    *,
    most: int,
    search_rotations: bool,
    quality_filter: QualityFilter,
    watch: Stopwatch,
    crew: Crew = NOBODY,
    prefer: Preference = "largest",
    when_decoded: Callable[[], object] = lambda: None,
) -> PhotoAnalysis:
    """Finds and measures faces of a photo: the `most` largest of those that pass the quality filter.

    With `most` = 1, as for a source photo, only the largest face is asked: another must never stand in for the one that
    was meant. `prefer` "central" asks the face in the middle first, see Preference. `crew` shares in the work on many
    faces. `when_decoded` is called between decoding and searching, for who works on something else beside.
    """
    reduction, photo = _decoded(image, watch)
    when_decoded()
    search = _begun(engine, image, photo, most, search_rotations, watch)
    return _analysed(engine, image, reduction, search, most, engine.quality_bar(quality_filter), watch, crew, prefer)


def analyse_and_describe(
    engine: Engine,
    image: Image,
    *,
    most: int,
    search_rotations: bool,
    quality_filter: QualityFilter,
    watch: Stopwatch,
    crew: Crew,
    attributes: bool,
) -> DescribedPhoto:
    """Finds and measures faces as `analyse` does, and describes them as `likeness.description.describe` does.

    Where the search has settled some faces and only asks whether there are others, that is answered while those are
    embedded: by who shares in the work, if anybody has nothing to do.
    """
    bar = engine.quality_bar(quality_filter)
    reduction, photo = _decoded(image, watch)
    search = _begun(engine, image, photo, most, search_rotations, watch, crew)
    if bar is None and 0 < len(search.settled) <= most:
        return _described_early(engine, image, reduction, search, most, watch, crew, attributes)
    analysis = _analysed(engine, image, reduction, search, most, bar, watch, crew, "largest")
    return DescribedPhoto(analysis, describe(engine, image, analysis.faces, watch, crew, attributes=attributes))


def _decoded(image: Image, watch: Stopwatch) -> tuple[Reduction, Pyramid]:
    """The photo as it is decoded for the search, and the reduction of that."""
    with watch.stage("decode"):
        reduction = image.reduction_for(max(working_size(image.width, image.height)))
        return reduction, image.pyramid(reduction)


def _begun(
    engine: Engine,
    image: Image,
    photo: Pyramid,
    most: int,
    search_rotations: bool,
    watch: Stopwatch,
    crew: Crew = NOBODY,
) -> FaceSearch:
    """The search of a decoded photo, with its coarse part done."""
    with watch.stage("detect"):
        return begin(
            engine.detector,
            photo,
            search_rotations=search_rotations,
            photo_size=(image.width, image.height),
            largest_only=most == 1,
            scout=engine.scout,
            offer=crew.offer,
        )


def _analysed(
    engine: Engine,
    image: Image,
    reduction: Reduction,
    search: FaceSearch,
    most: int,
    bar: QualityBar | None,
    watch: Stopwatch,
    crew: Crew,
    prefer: Preference,
) -> PhotoAnalysis:
    """The faces of a search that pass, measured in blocks of `most` until there are so many."""
    finer = finer_reduction(reduction, search.smallest_px)
    helpers = crew if finer < reduction else NOBODY
    with _decoded_meanwhile(image, finer, watch, helpers), watch.stage("detect"):
        detections, quarter_turns = search.finish()
    order = _order(detections, prefer, search.photo.shape[1], search.photo.shape[0])
    faces: list[MeasuredFace] = []
    for start in range(0, len(order), most):
        block = order[start : start + most]
        measured = measure(engine, image, reduction, detections[block], watch, crew)
        faces += measured if bar is None else _passing(measured, bar, crew)
        if len(faces) >= most or most == 1:
            break
    return PhotoAnalysis(image, tuple(faces[:most]), len(order), quarter_turns)


@contextmanager
def _decoded_meanwhile(image: Image, reduction: Reduction, watch: Stopwatch, crew: Crew) -> Iterator[None]:
    """Has a photo decoded at 1 / `reduction` meanwhile, if one of the crew has nothing to do."""

    def decode() -> None:
        with watch.stage("decode"):
            image.pyramid(reduction)

    decoding = None if crew is NOBODY else crew.submit(decode)
    try:
        yield
    finally:
        # What went wrong will go wrong again where the photo is asked for.
        if decoding and not decoding.cancel():
            wait([decoding])


def _described_early(
    engine: Engine,
    image: Image,
    reduction: Reduction,
    search: FaceSearch,
    most: int,
    watch: Stopwatch,
    crew: Crew,
    attributes: bool,
) -> DescribedPhoto:
    """The settled faces of a search, described while it goes on, and then the others."""

    def finish() -> None:
        with watch.stage("detect"):
            search.finish()

    def largest_first(detections: Detections) -> Detections:
        return detections[_order(detections, "largest", search.photo.shape[1], search.photo.shape[0])]

    settled = largest_first(search.settled)
    finishing = ByOne(finish)
    # Several faces have many meshes: whoever joins in finishes the search first, and no mesh is then waited for.
    beside = crew.submit(finishing) if len(settled) > 1 and crew is not NOBODY else None
    try:
        measured = measure(engine, image, reduction, settled, watch, crew)
        meanwhile = None if finishing.begun else Meanwhile(finishing, search.scouted_pixels)
        faces = describe(engine, image, measured, watch, crew, attributes=attributes, meanwhile=meanwhile, busy=True)
    finally:
        if beside:
            beside.cancel()
    found, quarter_turns = search.finish()
    asked = largest_first(found)[:most]
    places = _places(asked, settled)
    if not np.array_equal(places, np.arange(len(settled))):
        others = measure(engine, image, reduction, asked[places < 0], watch, crew)
        other_faces = describe(engine, image, others, watch, crew, attributes=attributes)
        places[places < 0] = len(settled) + np.arange(len(others))
        measured += others
        measured = [measured[place] for place in places]
        faces = faces.joined(other_faces)[places]
    return DescribedPhoto(PhotoAnalysis(image, tuple(measured), len(found), quarter_turns), faces)


def _places(faces: Detections, settled: Detections) -> NDArray[np.intp]:
    """Where each of the faces (N,) is among the settled ones; -1 where it is none of them."""
    same = (faces.boxes[:, np.newaxis] == settled.boxes).all(axis=2)
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def _passing(faces: Sequence[MeasuredFace], bar: QualityBar, crew: Crew) -> list[MeasuredFace]:
    """Those of the faces that are as good as `bar` asks, in their order."""
    passes = crew.map(lambda face: face.passes(bar), faces)
    return [face for face, good in zip(faces, passes, strict=True) if good]


def _order(detections: Detections, prefer: Preference, width_px: int, height_px: int) -> NDArray[np.intp]:
    """The faces in the order in which they are asked: largest first, or the central one and then the largest."""
    sizes = areas(detections.boxes)
    order = np.argsort(-sizes, kind="stable")
    if prefer == "central" and len(order) > 1:
        centres = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
        distances = np.linalg.norm(centres - (width_px / 2, height_px / 2), axis=1)
        central = np.argmin(np.where(sizes >= _CENTRAL_AREA * sizes.max(), distances, np.inf))
        order = np.concatenate([[central], order[order != central]])
    return order
