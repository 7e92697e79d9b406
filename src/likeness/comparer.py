"""Two photos in, one Comparison out: the only pipeline there is.

bytes → upright pixels → faces → landmarks, pose, quality → quality filter → chips → vectors → scores → Similarity
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from numbers import Real
from os import PathLike
from threading import Lock
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from likeness.analysis import PhotoAnalysis, Preference, analyse, analyse_and_describe
from likeness.crew import NOBODY, Crew
from likeness.description import as_face, embed
from likeness.engine import Engine
from likeness.errors import InvalidImageFormat, InvalidParameter, NoFaceFound, RequestError
from likeness.faces import QUALITY_FILTERS, Comparison, Face, FaceMatch, OrientationCorrection, QualityFilter, Trace
from likeness.image import Image, ImageLimits, Photo, open_image
from likeness.stopwatch import Stopwatch
from likeness.threads import thread_budget
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import Profile, Scorer

#: Says of kept vectors how they were made, to be counted up when a photo is looked at in another way: 4 is the mean of
#: the views' vectors, by two looks of the mesh and a search that begins at a quarter of the size, with large faces cut
#: from the halved photo.
_VECTOR_FORM = 4


#: A search of this many pixels uses 61 MB of the networks' memory, of which the largest real one uses 42. Two threads
#: had used 54 MB after 1,500 mixed requests and 58 MB after 10,000 (the soak of `make bench`, /proc/PID/smaps).
_RESERVING = (832, 832, 3)


@dataclass(frozen=True, slots=True)
class ComparerSettings:
    """What of the behaviour can be chosen; the defaults are those of decisions 1, 3, 4, 9, 10 and 14.

    `target_without_faces`: an error, or an answer with two empty lists. `face_attributes`: "all" that the page lists,
    or the "default" that the service sends. `orientation_correction`: "estimate" says how a photo without EXIF
    orientation was turned. `search_rotations`: look at the other right angles where the upright photo shows no face.
    """

    target_without_faces: Literal["error", "empty"] = "error"
    face_attributes: Literal["all", "default"] = "all"
    orientation_correction: Literal["off", "estimate"] = "off"
    search_rotations: bool = True
    max_faces: int = 100
    min_side_px: int = 80
    max_pixels: int = 100_000_000
    max_bytes: int = 15 * 1024 * 1024
    max_decoding_seconds: float = 2.5

    @property
    def limits(self) -> ImageLimits:
        """The limits that a photo is held to before it is decoded."""
        return ImageLimits(self.min_side_px, self.max_pixels, self.max_bytes, self.max_decoding_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFace:
    """The largest face of a source photo, ready to be compared with any number of target photos.

    `face` has no emotions and no smile; `vector` is its embedding, (D,) float32, and `profile` what the scorer knows of
    it before it sees another. Made by `Comparer.prepare`; it holds no pixels.
    """

    face: Face
    vector: NDArray[np.float32]
    profile: Profile
    orientation_correction: OrientationCorrection | None
    trace: Trace


class Comparer:
    """A warm engine: loads a model pack once and compares as many photos as asked, from as many threads as asked.

        with Comparer() as comparer:
            comparison = comparer.compare("source.jpg", "target.jpg", similarity_threshold=90)

    `pack` is a pack's name (installed first if it is missing) or the path of a pack's folder. `threads` is how many
    processors one comparison may use, by default all that the process may. When the machine has nothing else to do, the
    two photos of a comparison are worked on at the same time; when several comparisons run, each keeps to its own
    thread; OpenCV, in the whole process, is set to one (`cv2.setNumThreads`), as its own threads would come on top. The
    same photos always give the same answer. Raises `likeness.errors.PackError` when the pack cannot be used.
    """

    def __init__(
        self,
        pack: str | PathLike[str] = "standard",
        *,
        settings: ComparerSettings | None = None,
        threads: int | None = None,
    ) -> None:
        self.settings = settings or ComparerSettings()
        self.threads = threads or thread_budget()
        # Both photos are looked at side by side, so one network run gets half of the processors. Who is alone for a
        # while gets no more: on two threads a search of 352x256 took 8.6 ms instead of 7.1, and twice the processor
        # time, for layers are so short that the scheduler leaves the second thread on the first one's processor (seen
        # with `perf sched`); groups of 6 to 100 faces take as long either way.
        self._engine = Engine(pack, threads=max(1, (self.threads + 1) // 2))
        self._crew = Crew(1 if self.threads > 1 else 0)
        self._running = 0
        self._counting = Lock()

    @property
    def calibration(self) -> Calibration:
        """The error rates behind a Similarity."""
        return self._engine.calibration

    @property
    def scorer(self) -> Scorer:
        """What turns two vectors into the score that the calibration reads."""
        return self._engine.scorer

    @property
    def pack_identity(self) -> str:
        """Name, version and the beginning of the manifest's hash of the pack: what an embedding belongs to."""
        manifest = self._engine.manifest
        return f"{manifest.name} {manifest.version} {manifest.sha256[:12]}"

    @property
    def vector_identity(self) -> str:
        """What the vectors of `prepare` depend on, as 24 hexadecimal digits: networks, and how they are fed."""
        manifest = self._engine.manifest
        makers = [manifest.roles[name] for name in ("detector", "mesh", "embedder") if name in manifest.roles]
        described: list[Any] = [_VECTOR_FORM]
        described += [[role.family, manifest.files[role.file].sha256, dict(role.parameters)] for role in makers]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]

    def similarities(
        self, vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The Similarity, 0 to 100, of pairs (P,) of the vectors (N, D) that `prepare` made, not rounded to singles.

        `first` and `second`, (P,), index `vectors`.
        """
        return self.calibration.similarity(self._engine.scorer.score_pairs(vectors, first, second))

    def warm_up(self) -> None:
        """Loads every network now instead of at the first comparison."""
        self._engine.warm_up()

    def reserve_memory(self) -> None:
        """Has the networks' memory in use from now on, as it will be after some thousand photos.

        What several threads need at once is largest by chance, so that without this a server's memory grows by a few
        megabytes for hours. Takes 60 ms.
        """
        if self.threads > 1:
            self._engine.detector.detect(np.zeros(_RESERVING, np.uint8))

    def compare(
        self,
        source: Photo | SourceFace,
        target: Photo,
        *,
        similarity_threshold: float = 80.0,
        quality_filter: QualityFilter = "NONE",
    ) -> Comparison:
        """Compares the largest face of `source` with the (at most 100) largest faces of `target`.

        Faces with a Similarity of `similarity_threshold` (0 to 100) or more are matches, highest first; the others are
        unmatched, largest first. Faces that `quality_filter` (NONE, AUTO, LOW, MEDIUM, HIGH) rejects are compared with
        nothing and appear nowhere. A source made by `prepare` is not looked at again.

        Raises NoFaceFound, ImageTooSmall, ImageTooLarge, InvalidImageFormat, InvalidParameter, all RequestErrors, with
        the photo named; when both photos are bad, for the source.
        """
        _check(similarity_threshold, quality_filter)
        with self._free_crew() as crew:
            if isinstance(source, SourceFace):
                prepared, seen = source, self._target(self._opened(target, "target photo"), quality_filter, crew)
            elif crew is NOBODY:
                prepared = self._source(source, quality_filter, crew)
                seen = self._target(self._opened(target, "target photo"), quality_filter, crew)
            else:
                prepared, seen = self._side_by_side(source, target, quality_filter, crew)
        return self._judge(prepared, seen, similarity_threshold)

    def prepare(
        self, source: Photo, *, quality_filter: QualityFilter = "NONE", prefer: Preference = "largest"
    ) -> SourceFace:
        """The largest face of `source`, to be compared with many target photos; raises what `compare` raises.

        With `prefer` "central" it is the face nearest to the middle, of those at least a quarter as large.
        """
        _check(80.0, quality_filter)
        return self._source(source, quality_filter, NOBODY, prefer)

    def close(self) -> None:
        """Waits for running work and ends the engine's thread; the comparer cannot be used afterwards."""
        self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _free_crew(self) -> Iterator[Crew]:
        """Those who share in this comparison: nobody, unless it has the machine to itself and more than one thread."""
        with self._counting:
            self._running += 1
            alone = self._running == 1 and self.threads > 1
        try:
            yield self._crew if alone else NOBODY
        finally:
            if alone:
                self._crew.withdraw()
            with self._counting:
                self._running -= 1

    def _side_by_side(
        self, source: Photo, target: Photo, quality_filter: QualityFilter, crew: Crew
    ) -> tuple[SourceFace, "_TargetFaces"]:
        """Both photos at once: the source beside this thread, which has the target, as that may have many faces; the
        one who is done with the source shares in them.
        """
        try:
            # Opened first: a step ahead of the source, which is done sooner, this thread seldom waits for the
            # interpreter.
            image = self._opened(target, "target photo")
        except RequestError:
            self._source(source, quality_filter, NOBODY)  # when both photos are bad, the source is named
            raise
        # It helps the target first, and so falls a step behind this thread, which has more to do: in step they would
        # wait for each other's interpreter after every network (1280x886: 0.5 to 1 ms of 22).
        preparing = crew.submit(self._source, source, quality_filter, NOBODY, when_decoded=crew.help)
        try:
            seen = self._target(image, quality_filter, crew)
        except RequestError:
            preparing.result()
            raise
        return preparing.result(), seen

    def _opened(self, photo: Photo, name: str) -> Image:
        return open_image(photo, name=name, limits=self.settings.limits)

    def _source(
        self,
        photo: Photo,
        quality_filter: QualityFilter,
        crew: Crew,
        prefer: Preference = "largest",
        when_decoded: Callable[[], object] = lambda: None,
    ) -> SourceFace:
        watch = Stopwatch()
        analysis = analyse(
            self._engine,
            self._opened(photo, "source photo"),
            most=1,
            search_rotations=self.settings.search_rotations,
            quality_filter=quality_filter,
            watch=watch,
            crew=crew,
            prefer=prefer,
            when_decoded=when_decoded,
        )
        if not analysis.faces:
            raise _no_face(analysis, quality_filter)
        notes = analysis.image.notes
        if analysis.found > 1:
            notes += (f"{analysis.image.name}: at least {analysis.found} faces; the {prefer} is compared.",)
        vectors = embed(self._engine, analysis.faces, watch, crew)
        return SourceFace(
            face=as_face(analysis.image, analysis.faces[0]),
            vector=vectors[0],
            profile=self._engine.scorer.profile(vectors),
            orientation_correction=self._correction(analysis),
            trace=Trace(notes, watch.seconds, source_faces=analysis.found),
        )

    def _target(self, image: Image, quality_filter: QualityFilter, crew: Crew) -> "_TargetFaces":
        watch = Stopwatch()
        described = analyse_and_describe(
            self._engine,
            image,
            most=self.settings.max_faces,
            search_rotations=self.settings.search_rotations,
            quality_filter=quality_filter,
            watch=watch,
            crew=crew,
            attributes=self.settings.face_attributes == "all",
        )
        analysis = described.analysis
        if analysis.found == 0 and self.settings.target_without_faces == "error":
            raise _no_face(analysis, quality_filter)
        return _TargetFaces(
            faces=described.faces.faces,
            profile=described.faces.profile,
            orientation_correction=self._correction(analysis),
            trace=Trace(analysis.image.notes, watch.seconds, target_faces=analysis.found),
        )

    def _correction(self, analysis: PhotoAnalysis) -> OrientationCorrection | None:
        return analysis.orientation_correction if self.settings.orientation_correction == "estimate" else None

    def _judge(self, source: SourceFace, target: "_TargetFaces", similarity_threshold: float) -> Comparison:
        targets = target.profile
        similarities = [] if targets is None else self._engine.similarities(source.profile, targets)
        faces = [FaceMatch(value, face) for value, face in zip(similarities, target.faces, strict=True)]
        # `faces` is in the order of size; sorting keeps that order among equals (specification section 5.1).
        matches = sorted((f for f in faces if f.similarity >= similarity_threshold), key=lambda f: -f.similarity)
        return Comparison(
            source=source.face,
            matches=tuple(matches),
            unmatched=tuple(f for f in faces if f.similarity < similarity_threshold),
            source_orientation_correction=source.orientation_correction,
            target_orientation_correction=target.orientation_correction,
            trace=_both(source.trace, target.trace),
        )


_WARMING = Lock()


@cache
def _one_comparer() -> Comparer:
    return Comparer()


def warm_comparer() -> Comparer:
    """The comparer on the standard pack that `likeness.compare_faces` keeps for the whole process."""
    with _WARMING:  # two first calls at once must not load the networks twice
        return _one_comparer()


@dataclass(frozen=True, slots=True, eq=False)
class _TargetFaces:
    """The faces of a target photo, largest first, as values and as the scorer sees them; None where there are none."""

    faces: Sequence[Face]
    profile: Profile | None
    orientation_correction: OrientationCorrection | None
    trace: Trace


def _check(similarity_threshold: float, quality_filter: str) -> None:
    if not isinstance(similarity_threshold, Real) or isinstance(similarity_threshold, bool):
        raise InvalidParameter(f"similarity_threshold is {similarity_threshold!r}; it must be a number from 0 to 100.")
    if not 0.0 <= similarity_threshold <= 100.0:
        raise InvalidParameter(f"similarity_threshold is {similarity_threshold}; it must lie between 0 and 100.")
    if quality_filter not in QUALITY_FILTERS:
        raise InvalidParameter(f"quality_filter is {quality_filter!r}; it must be one of {', '.join(QUALITY_FILTERS)}.")


def _no_face(analysis: PhotoAnalysis, quality_filter: str) -> RequestError:
    name = analysis.image.name
    if analysis.image.damaged and not analysis.found:
        return InvalidImageFormat(
            f"{name}: the file is damaged or cut off, and no face is in the part that could be decoded. Send it again."
        )
    if analysis.found:
        return NoFaceFound(
            f"{name}: the largest face does not pass the quality filter {quality_filter}. "
            "Use a sharper, brighter, more frontal photo, or a lower filter."
        )
    return NoFaceFound(
        f"{name}: no face found in {analysis.image.width} x {analysis.image.height} pixels. "
        "A face needs about 40 pixels in a 1920 x 1080 photo, and must be neither covered nor seen from behind."
    )


def _both(source: Trace, target: Trace) -> Trace:
    stages = source.seconds.keys() | target.seconds.keys()
    seconds = {stage: source.seconds.get(stage, 0.0) + target.seconds.get(stage, 0.0) for stage in sorted(stages)}
    return Trace(source.notes + target.notes, seconds, source.source_faces, target.target_faces)
