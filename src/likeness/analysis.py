"""One photo → its faces, measured: found, landmarks fitted, pose and quality taken, the unfit left out, embedded."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.faces import Emotion, Face, OrientationCorrection, Pose, Quality, QualityFilter, Smile
from likeness.image import REDUCTIONS, Image, Reduction
from likeness.pyramid import Pyramid
from likeness.threads import NOBODY, Crew
from likeness.vision import geometry
from likeness.vision.detection import Detections, confidences, find_faces, working_size
from likeness.vision.embedding import mean_views
from likeness.vision.face_embedder import FaceEmbedder
from likeness.vision.mesh import FaceMesh, Mesh
from likeness.vision.pose import poses_of_meshes, poses_of_points
from likeness.vision.quality import QualityBar, measure_quality
from likeness.vision.smile import read_smiles
from likeness.vision.suppression import areas

#: A face whose detected box has this longer side, px, shows its mesh's crop (192 px across 1.39 boxes) and its chip all
#: the detail that they can take in; a smaller one is looked at in a finer decoding of the photo, where there is one.
_DETAILED_BOX_PX = 140.0

#: Views that one thread embeds at a time, or as few more as a face needs. In a run of four each of dlib's takes a
#: seventh less than alone, and hardly less in longer runs; MobileFaceNet's take as long alone, and a tenth longer in
#: runs of eight, which the caches do not hold.
_VIEWS_A_RUN = 4

_CORRECTIONS: tuple[OrientationCorrection, ...] = ("ROTATE_0", "ROTATE_90", "ROTATE_180", "ROTATE_270")


#: Which of several faces a photo is about: the largest, as the operation has it, or, as in sets of photos that were cut
#: out around the person they are labelled with, the one nearest to the middle that is not much smaller.
Preference = Literal["largest", "central"]
#: How much smaller the central face may be than the largest, in area.
_CENTRAL_AREA = 0.25


class Stopwatch:
    """Adds up the seconds of work in each stage, whoever does it; each photo has its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + took


@dataclass(frozen=True, eq=False)
class MeasuredFace:
    """One face of a photo.

    It is looked at in `photo`, which is decoded at 1 / `reduction`; the detector's `box` (4,) and `points` (5, 2), the
    `mesh` and the `service_box` (4,) that the answer shows are in px of that decoding.
    """

    photo: Pyramid
    reduction: Reduction
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    mesh: FaceMesh | None
    service_box: NDArray[np.float64]
    pose: Pose
    confidence: float

    @cached_property
    def quality(self) -> Quality:
        """How well the face can be seen, measured when it is first asked for."""
        return measure_quality(self.photo.pixels, self.service_box)[0]

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The five points (5, 2) px that the answer shows: the mesh's where it fits, else the detector's."""
        return self.mesh.landmarks if self.mesh else self.points

    @property
    def width_px(self) -> float:
        """The width of the box that the answer shows, px of the full photo."""
        return float(self.service_box[2] - self.service_box[0]) * self.reduction

    def passes(self, bar: QualityBar) -> bool:
        """Whether the face is as good as `bar` asks."""
        return bar.passes(self.quality, self.pose, face_width_px=self.width_px, confidence=self.confidence)


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
) -> PhotoAnalysis:
    """Finds and measures faces of a photo: the `most` largest of those that pass the quality filter.

    With `most` = 1, as for a source photo, only the largest face is asked: another must never stand in for the one that
    was meant. `prefer` "central" asks the face in the middle first, see Preference. `crew` shares in the work on many
    faces.
    """
    with watch.stage("decode"):
        reduction = image.reduction_for(max(working_size(image.width, image.height)))
        photo = image.pyramid(reduction)
    with watch.stage("detect"):
        detections, quarter_turns = find_faces(
            engine.detector,
            photo,
            search_rotations=search_rotations,
            photo_size=(image.width, image.height),
            largest_only=most == 1,
            fine_detector=engine.detector if crew is NOBODY else engine.wide_detector,
            scout=engine.scout,
        )
        order = _order(detections, prefer, photo.shape[1], photo.shape[0])
    bar = engine.quality_bar(quality_filter)
    faces: list[MeasuredFace] = []
    for start in range(0, len(order), most):
        block = order[start : start + most]
        measured = _measure(engine, image, reduction, detections[block], watch, crew)
        faces += measured if bar is None else _passing(measured, bar, crew)
        if len(faces) >= most or most == 1:
            break
    return PhotoAnalysis(image, tuple(faces[:most]), len(order), quarter_turns)


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


def embed(engine: Engine, faces: Sequence[MeasuredFace], watch: Stopwatch, crew: Crew = NOBODY) -> NDArray[np.float32]:
    """The vectors of faces, (N, D) float32, each the mean of its views' unit vectors."""
    runs = _embedder_runs(engine, faces, watch, crew)
    return _vectors(engine, runs, crew.map(lambda run: run.work(), runs), len(faces))


def embed_and_describe(
    engine: Engine, analysis: PhotoAnalysis, watch: Stopwatch, crew: Crew, *, attributes: bool
) -> tuple[NDArray[np.float32], list[Face]]:
    """The vectors (N, D) of an analysis's faces, as `embed` makes them, and the faces as values of an answer.

    With `attributes` they have emotions and smile, where the pack can read them. The longest pieces of work come first,
    so that all who share in it are done at nearly the same time.
    """
    faces = analysis.faces
    runs = _embedder_runs(engine, faces, watch, crew)
    work: list[Callable[[], Any]] = [run.work for run in runs]
    work += [partial(_expression, engine, face, watch, attributes) for face in faces]
    work += [partial(_quality, face, watch) for face in faces]
    done = crew.map(lambda piece: piece(), work)
    vectors = _vectors(engine, runs, done[: len(runs)], len(faces))
    described = zip(faces, done[len(runs) : len(runs) + len(faces)], strict=True)
    return vectors, [as_face(analysis.image, face, *expression) for face, expression in described]


@dataclass(frozen=True, slots=True)
class _EmbedderRun:
    """A run of one embedder, to be called for the unit vectors (R, D) of its views."""

    embedder: FaceEmbedder
    work: Callable[[], NDArray[np.float32]]


def _embedder_runs(engine: Engine, faces: Sequence[MeasuredFace], watch: Stopwatch, crew: Crew) -> list[_EmbedderRun]:
    """The runs of the embedders that faces need, the longest first; those of one embedder in the order of the faces."""

    def views(embedder: FaceEmbedder, some: Sequence[MeasuredFace]) -> NDArray[np.uint8]:
        return np.concatenate([embedder.chips(face.photo, face.points, face.mesh) for face in some])

    def run(embedder: FaceEmbedder, some: Sequence[MeasuredFace] | NDArray[np.uint8]) -> NDArray[np.float32]:
        with watch.stage("embed"):
            return embedder.views(some if isinstance(some, np.ndarray) else views(embedder, some))

    runs = []
    # The longest first: larger chips take more time.
    for embedder in sorted(engine.embedders, key=lambda embedder: -embedder.aligner.size_px):
        some: Sequence[Sequence[MeasuredFace] | NDArray[np.uint8]]
        if len(faces) == 1 and crew is not NOBODY:
            with watch.stage("embed"):
                some = np.array_split(views(embedder, faces), min(2, embedder.looks))
        else:
            step = max(1, _VIEWS_A_RUN // embedder.looks)
            some = [faces[start : start + step] for start in range(0, len(faces), step)]
        runs += [_EmbedderRun(embedder, partial(run, embedder, these)) for these in some]
    return runs


def _vectors(
    engine: Engine, runs: Sequence[_EmbedderRun], done: Sequence[NDArray[np.float32]], faces: int
) -> NDArray[np.float32]:
    """The vectors (N, D) of so many faces from what the `runs` gave: each embedder's mean, one behind the other."""
    means = [
        mean_views([views for run, views in zip(runs, done, strict=True) if run.embedder is embedder], faces)
        for embedder in engine.embedders
    ]
    return np.concatenate(means, axis=1)


def _expression(
    engine: Engine, face: MeasuredFace, watch: Stopwatch, attributes: bool
) -> tuple[tuple[Emotion, ...], Smile] | tuple[()]:
    """A face's emotions and smile; nothing where they are not wanted, or the pack cannot read them."""
    if not attributes or engine.expressions is None:
        return ()
    with watch.stage("attributes"):
        expression = engine.expressions.read(face.photo, face.landmarks)[0]
        (smile,) = read_smiles([face.mesh], [expression.happiness])
        return expression.emotions, smile


def _quality(face: MeasuredFace, watch: Stopwatch) -> None:
    """Has a face's quality measured."""
    with watch.stage("attributes"):
        _ = face.quality


def as_face(
    image: Image, measured: MeasuredFace, emotions: tuple[Emotion, ...] | None = None, smile: Smile | None = None
) -> Face:
    """A measured face as the value of an answer: ratios of the upright photo."""
    width_px, height_px = image.width / measured.reduction, image.height / measured.reduction
    return Face(
        bounding_box=geometry.bounding_box(measured.service_box, width_px, height_px),
        confidence=measured.confidence,
        landmarks=geometry.landmarks(measured.landmarks, width_px, height_px),
        pose=measured.pose,
        quality=measured.quality,
        emotions=emotions,
        smile=smile,
    )


def _measure(
    engine: Engine, image: Image, working: Reduction, detections: Detections, watch: Stopwatch, crew: Crew
) -> list[MeasuredFace]:
    """The faces of `detections` (px of the photo at 1 / `working`), each looked at as finely as it needs."""
    sides_px = (detections.boxes[:, 2:] - detections.boxes[:, :2]).max(axis=1)
    detailed = sides_px >= _DETAILED_BOX_PX
    finer = working if detailed.all() else _finer(working, float(sides_px.min()))
    measured: dict[int, MeasuredFace] = {}
    for reduction, indices in ((working, np.flatnonzero(detailed)), (finer, np.flatnonzero(~detailed))):
        if len(indices) == 0:
            continue
        with watch.stage("decode"):
            photo = image.pyramid(reduction)
        some = detections[indices].scaled(working / reduction, working / reduction)
        measured |= zip(indices.tolist(), _look(engine, photo, reduction, some, watch, crew), strict=True)
    return [measured[index] for index in sorted(measured)]


def _finer(working: Reduction, smallest_px: float) -> Reduction:
    """The coarsest decoding in which a box of `smallest_px`, px at 1 / `working`, is detailed; 1 where none is."""
    return next((each for each in REDUCTIONS if each <= working * smallest_px / _DETAILED_BOX_PX), 1)


def _look(
    engine: Engine,
    photo: Pyramid,
    reduction: Reduction,
    detections: Detections,
    watch: Stopwatch,
    crew: Crew,
) -> list[MeasuredFace]:
    """The measured faces of `detections`, px of `photo`, which is decoded at 1 / `reduction`."""
    with watch.stage("mesh"):
        meshes = _meshes(engine.mesh, photo, detections, crew)
        landmarks = [mesh.landmarks if mesh else points for mesh, points in zip(meshes, detections.points, strict=True)]
        poses = _poses(meshes, detections.points)
        boxes = geometry.service_boxes(np.stack(landmarks), poses)
    return [
        MeasuredFace(photo, reduction, *parts)
        for parts in zip(
            detections.boxes,
            detections.points,
            meshes,
            boxes,
            poses,
            confidences(detections.scores),
            strict=True,
        )
    ]


def _meshes(mesh: Mesh | None, photo: Pyramid, detections: Detections, crew: Crew) -> Sequence[FaceMesh | None]:
    """The mesh of each face; None where it does not fit, and where the pack has no mesh at all."""
    if mesh is None:
        return [None] * len(detections)
    return crew.map(
        lambda face: mesh.measure(photo, detections.boxes[face], detections.points[face])[0], range(len(detections))
    )


def _poses(meshes: Sequence[FaceMesh | None], points: NDArray[np.float32]) -> list[Pose]:
    """The pose of each face: by its mesh where it fits, by the detector's points where it does not."""
    fitting = [mesh.points for mesh in meshes if mesh is not None]
    by_mesh = iter(poses_of_meshes(np.stack(fitting)) if fitting else [])
    by_points = iter(poses_of_points(points[[mesh is None for mesh in meshes]]))
    return [next(by_points if mesh is None else by_mesh) for mesh in meshes]
