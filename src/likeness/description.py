"""Measured faces → vectors and profiles, and values of an answer; all who share in the work busy to the end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.crew import NOBODY, Crew, Together
from likeness.engine import Engine
from likeness.faces import Emotion, Face, Smile
from likeness.image import Image
from likeness.measuring import MeasuredFace
from likeness.stopwatch import Stopwatch
from likeness.vision import geometry
from likeness.vision.embedding import mean_views
from likeness.vision.expression import Expression, ExpressionReader
from likeness.vision.face_embedder import FaceEmbedder
from likeness.vision.scoring import Profile
from likeness.vision.smile import read_smiles

#: Views that one thread embeds at a time, or as few more as a face needs. MobileFaceNet's take as long alone, and a
#: tenth longer in runs of eight, which the caches do not hold.
_VIEWS_A_RUN = 4
#: The scout looks at so many pixels while one view is embedded and its face scored (YuNet at 544x384, 209,000 pixels:
#: 4.1 to 5.0 ms; MobileFaceNet 5.1 ms a view).
_PIXELS_A_VIEW = 250_000


@dataclass(frozen=True, slots=True, eq=False)
class DescribedFaces:
    """Faces as values of an answer, and as the scorer sees them; None where there are none."""

    faces: Sequence[Face]
    profile: Profile | None

    def joined(self, others: "DescribedFaces") -> "DescribedFaces":
        """These and then the others."""
        profiles = [each.profile for each in (self, others) if each.profile is not None]
        return DescribedFaces([*self.faces, *others.faces], Profile.joined(profiles) if profiles else None)

    def __getitem__(self, rows: NDArray[np.intp]) -> "DescribedFaces":
        return DescribedFaces([self.faces[row] for row in rows], None if self.profile is None else self.profile[rows])


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Something else that is to be done: a detector is to look at about so many `pixels`."""

    work: Callable[[], object]
    pixels: int


def embed(engine: Engine, faces: Sequence[MeasuredFace], watch: Stopwatch, crew: Crew = NOBODY) -> NDArray[np.float32]:
    """The vectors of faces, (N, D) float32, each the mean of its views' vectors."""
    runs = _embedder_runs(engine, faces, watch, crew)
    return mean_views(crew.map(lambda run: run.work(), runs), len(faces))


def describe(
    engine: Engine,
    image: Image,
    faces: Sequence[MeasuredFace],
    watch: Stopwatch,
    crew: Crew,
    *,
    attributes: bool,
    meanwhile: Meanwhile | None = None,
    busy: bool = False,
) -> DescribedFaces:
    """Measured faces of a photo, described.

    With `attributes` they have emotions and smile, where the pack can read them. `meanwhile` is done too. The longest
    pieces of work come first, so that all who share in it are done at nearly the same time; what is made of the pieces
    is made by whoever does the last of them, while another may still be busy with `meanwhile`. The crew is `busy` where
    somebody has, or is about to have, something else to do that takes long.
    """
    if not faces:
        if meanwhile:
            meanwhile.work()
        return DescribedFaces((), None)
    runs = _embedder_runs(engine, faces, watch, crew, busy=busy)
    reader = engine.expressions if attributes else None
    read: list[Callable[[], Any]] = [partial(_expression, reader, face, watch) for face in faces] if reader else []
    measured: list[Callable[[], Any]] = [partial(_appearance, face, watch) for face in faces]

    def profile(done: list[Any]) -> Profile:
        return engine.scorer.profile(mean_views(done[: len(runs)], len(faces)))

    def shown(done: list[Any]) -> list[Face]:
        expressions = _shown(faces, done[: len(read)])
        return [as_face(image, face, *each) for face, each in zip(faces, expressions, strict=True)]

    describing = Together([*read, *measured], shown)
    reading, measuring = describing.work[: len(read)], describing.work[len(read) :]
    # The profile waits for the appearances too: who embeds a face alone has something longer than a profile to do next.
    embedding = Together([*(run.work for run in runs), *measuring], profile)
    long: list[Callable[[], object]] = [*embedding.work[: len(runs)]]
    if meanwhile:
        # Beside several faces the scout often sees another, and a longer search follows.
        first = len(faces) > 1 or meanwhile.pixels > _PIXELS_A_VIEW * runs[0].views
        long.insert(0 if first else len(runs), meanwhile.work)
    crew.map(lambda piece: piece(), _ordered(long, reading, embedding.work[len(runs) :]))
    return DescribedFaces(describing.result, embedding.result)


def _ordered(
    long: Sequence[Callable[[], object]],
    short: Sequence[Callable[[], object]],
    shortest: Sequence[Callable[[], object]],
) -> Sequence[Callable[[], object]]:
    """Pieces of work, the longest first; but the shortest, which hold the interpreter all the time, between long ones
    where there are many: two threads that both do such work wait for each other.
    """
    if len(long) <= 2:
        return [*long, *short, *shortest]
    # Each thread begins with a long one.
    bounds = np.linspace(0, len(shortest), len(long) - 1).astype(int).tolist()
    woven = [*long[:2]]
    for (start, stop), piece in zip(pairwise(bounds), long[2:], strict=True):
        woven += [*shortest[start:stop], piece]
    return [*woven, *short]


@dataclass(frozen=True, slots=True)
class _EmbedderRun:
    """A run of the embedder on so many `views`, to be called for their vectors (R, D)."""

    views: int
    work: Callable[[], NDArray[np.float32]]


def _embedder_runs(
    engine: Engine, faces: Sequence[MeasuredFace], watch: Stopwatch, crew: Crew, *, busy: bool = False
) -> list[_EmbedderRun]:
    """The runs of the embedder that faces need, in the order of the faces. Unless the crew is `busy` with something
    else that takes long, there is something for two.
    """
    embedder = engine.embedder
    some: Sequence[Sequence[MeasuredFace] | NDArray[np.uint8]]
    if len(faces) == 1 and embedder.looks > 1 and crew is not NOBODY:
        with watch.stage("embed"):
            some = np.array_split(_views(embedder, faces), 2)
    else:
        step = max(1, _VIEWS_A_RUN // embedder.looks)
        if crew is not NOBODY and not busy:
            step = min(step, math.ceil(len(faces) / 2))
        some = [faces[start : start + step] for start in range(0, len(faces), step)]
    runs = []
    for these in some:
        count = len(these) if isinstance(these, np.ndarray) else len(these) * embedder.looks
        runs.append(_EmbedderRun(count, partial(_embedded, embedder, these, watch)))
    return runs


def _embedded(
    embedder: FaceEmbedder, some: Sequence[MeasuredFace] | NDArray[np.uint8], watch: Stopwatch
) -> NDArray[np.float32]:
    """The vectors (R, D) of some faces' views, or of views (R, S, S, 3) that are cut already."""
    with watch.stage("embed"):
        return embedder.views(some if isinstance(some, np.ndarray) else _views(embedder, some))


def _views(embedder: FaceEmbedder, faces: Sequence[MeasuredFace]) -> NDArray[np.uint8]:
    """The views (R, S, S, 3) of faces, one face after the other."""
    return np.concatenate([embedder.chips(face.photo, face.points, face.mesh) for face in faces])


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


def _appearance(face: MeasuredFace, watch: Stopwatch) -> None:
    """Has a face's pose, box and quality found."""
    with watch.stage("attributes"):
        face.appearance()


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
