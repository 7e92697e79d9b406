"""Measured faces → vectors, and faces as values of an answer; all who share in the work busy to the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.faces import Emotion, Face, Smile
from likeness.image import Image
from likeness.measuring import MeasuredFace
from likeness.stopwatch import Stopwatch
from likeness.threads import NOBODY, Crew
from likeness.vision import geometry
from likeness.vision.embedding import mean_views
from likeness.vision.expression import Expression, ExpressionReader
from likeness.vision.face_embedder import FaceEmbedder
from likeness.vision.smile import read_smiles

#: Views that one thread embeds at a time, or as few more as a face needs. In a run of four each of dlib's takes a
#: seventh less than alone, and hardly less in longer runs; MobileFaceNet's take as long alone, and a tenth longer in
#: runs of eight, which the caches do not hold.
_VIEWS_A_RUN = 4


def embed(engine: Engine, faces: Sequence[MeasuredFace], watch: Stopwatch, crew: Crew = NOBODY) -> NDArray[np.float32]:
    """The vectors of faces, (N, D) float32, each the mean of its views' unit vectors."""
    runs = _embedder_runs(engine, faces, watch, crew)
    return _vectors(engine, runs, crew.map(lambda run: run.work(), runs), len(faces))


def describe(
    engine: Engine,
    image: Image,
    faces: Sequence[MeasuredFace],
    watch: Stopwatch,
    crew: Crew,
    *,
    attributes: bool,
    meanwhile: Callable[[], object] | None = None,
) -> tuple[NDArray[np.float32], list[Face]]:
    """The vectors (N, D) of faces of a photo, as `embed` makes them, and the faces as values of an answer.

    With `attributes` they have emotions and smile, where the pack can read them. `meanwhile` is something else that is
    to be done. The longest pieces of work come first, so that all who share in it are done at nearly the same time.
    """
    runs = _embedder_runs(engine, faces, watch, crew)
    work: list[Callable[[], Any]] = [run.work for run in runs]
    work += [meanwhile] if meanwhile else []
    first_read = len(work)
    reader = engine.expressions if attributes else None
    work += [partial(_expression, reader, face, watch) for face in faces if reader]
    first_measured = len(work)
    work += [partial(_quality, face, watch) for face in faces]
    done = crew.map(lambda piece: piece(), work)
    vectors = _vectors(engine, runs, done[: len(runs)], len(faces))
    shown = _shown(faces, done[first_read:first_measured])
    return vectors, [as_face(image, face, *each) for face, each in zip(faces, shown, strict=True)]


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


def _expression(reader: ExpressionReader, face: MeasuredFace, watch: Stopwatch) -> Expression:
    """What a face seems to express."""
    with watch.stage("attributes"):
        return reader.read(face.photo, face.landmarks)[0]


def _shown(
    faces: Sequence[MeasuredFace], expressions: Sequence[Expression]
) -> Sequence[tuple[tuple[Emotion, ...], Smile] | tuple[()]]:
    """Each face's emotions and smile; nothing where expressions were not read. All smiles at once take the time of one
    or two.
    """
    if not expressions:
        return [()] * len(faces)
    smiles = read_smiles([face.mesh for face in faces], [each.happiness for each in expressions])
    return [(each.emotions, smile) for each, smile in zip(expressions, smiles, strict=True)]


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
