"""Two photos in, one Comparison out: the only way in which photos are compared."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from numbers import Real
from os import PathLike
from threading import Lock
from typing import Any, Literal, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.errors import (
    ComparerUnusable,
    InvalidImageFormat,
    InvalidParameter,
    NoFaceFound,
    RequestError,
    SettingsError,
)
from likeness.executor import Executor, Map, in_turn
from likeness.faces import QUALITY_FILTERS, Comparison, Face, FaceMatch, OrientationCorrection, QualityFilter, Trace
from likeness.image import ImageLimits, Photo, open_image
from likeness.pipeline import AnalysedPhoto, Preference, Wanted, analyse
from likeness.stages import recording
from likeness.threads import thread_budget
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import Profile, Scorer

__all__ = ["Comparer", "ComparerSettings", "Photo", "SourceFace", "warm_comparer"]

#: The way in which vectors are made, counted up when it changes, so that kept ones are not mixed with new ones.
_VECTOR_FORM = 6

#: A search of so many pixels takes 67 MB of the networks' memory, more than any photo and what runs at the same time:
#: two threads have used 64 MB after 600 mixed requests.
_RESERVING = (1216, 1216, 3)


_CHOICES = {
    "target_without_faces": ("error", "empty"),
    "face_attributes": ("all", "default"),
    "orientation_correction": ("off", "estimate"),
}


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

    def __post_init__(self) -> None:
        """Raises SettingsError for a value that makes no sense."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(choices)}")
        for name in ("max_faces", "min_side_px", "max_pixels", "max_bytes", "max_decoding_seconds"):
            value: Any = getattr(self, name)
            if not (isinstance(value, Real) and float(value) > 0):
                raise SettingsError(f"{name} is {value!r}; it must be a number above 0")

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
    processors one comparison may use, by default all that the process may; see `likeness.executor`. OpenCV, in the
    whole process, is set to one thread (`cv2.setNumThreads`). The same photos always give the same answer.

    After a fork both processes may use a Comparer, unless a comparison ran during the fork: the child's
    copy then raises `likeness.errors.ComparerUnusable`, as any does after `close`. Raises `likeness.errors.PackError`
    when the pack cannot be used.
    """

    def __init__(
        self,
        pack: str | PathLike[str] = "standard",
        *,
        settings: ComparerSettings | None = None,
        threads: int | None = None,
    ) -> None:
        _check_types(pack, settings, threads)
        self.settings = settings or ComparerSettings()
        self.threads = threads or thread_budget()
        self._engine = Engine(pack)
        self._executor = Executor(self.threads)

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
        with self._executor.running():
            self._engine.warm_up()

    def reserve_memory(self) -> None:
        """Makes the networks allocate now the memory that they need after some thousand photos.

        The peak of several threads occurs by chance, so without this a server's memory grows by a few megabytes for
        hours. Takes 30 ms.
        """
        with self._executor.running():
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
        check_choices(similarity_threshold, quality_filter)
        with self._executor.running() as spread:
            # The target comes first: it may have many faces, in which the thread that is done with the source shares.
            photos: list[Callable[[], Any]] = [
                lambda: self._target(target, quality_filter, spread),
                lambda: source if isinstance(source, SourceFace) else self._source(source, quality_filter),
            ]
            analysed, prepared = spread(_outcome, photos)
        return self._judge(_value(prepared), _value(analysed), similarity_threshold)

    def prepare(
        self, source: Photo, *, quality_filter: QualityFilter = "NONE", prefer: Preference = "largest"
    ) -> SourceFace:
        """The largest face of `source`, to be compared with many target photos; raises what `compare` raises.

        With `prefer` "central" it is the face nearest to the middle, of those at least a quarter as large.
        """
        check_choices(80.0, quality_filter)
        with self._executor.running():
            return self._source(source, quality_filter, prefer)

    def analyse(
        self,
        photo: Photo,
        *,
        quality_filter: QualityFilter = "NONE",
        name: str = "photo",
        most: int | None = None,
        prefer: Preference = "largest",
    ) -> AnalysedPhoto:
        """The faces of a photo, at most `most` or as many as the settings allow, as `compare` sees those of a target,
        with their vectors (see `similarities`); none where none is found, see `no_face`. With `prefer` "central" the
        face that `prepare` takes then is among them. Raises what `compare` raises but NoFaceFound.
        """
        check_choices(80.0, quality_filter)
        wanted = replace(self._wanted_of_target(quality_filter), prefer=prefer)
        if most is not None:
            wanted = replace(wanted, most=most)
        with self._executor.running() as spread:
            return self._analysed(photo, name, wanted, spread)[0]

    def close(self) -> None:
        """Waits for running work and ends the threads; the comparer cannot be used afterwards."""
        self._executor.close()

    def __reduce__(self) -> NoReturn:
        raise ComparerUnusable("a Comparer cannot be copied or sent to another process; make one there")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _source(self, photo: Photo, quality_filter: QualityFilter, prefer: Preference = "largest") -> SourceFace:
        wanted = Wanted(1, quality_filter, self.settings.search_rotations, prefer=prefer)
        analysed, seconds = self._analysed(photo, "source photo", wanted, in_turn)
        if not analysed.faces:
            raise no_face(analysed, quality_filter)
        notes = analysed.image.notes
        if analysed.found > 1:
            notes += (f"{analysed.image.name}: at least {analysed.found} faces; the {prefer} is compared.",)
        return SourceFace(
            face=analysed.faces[0],
            vector=analysed.vectors[0],
            profile=self._engine.scorer.profile(analysed.vectors),
            orientation_correction=self._correction(analysed),
            trace=Trace(notes, seconds, source_faces=analysed.found),
        )

    def _target(self, photo: Photo, quality_filter: QualityFilter, spread: Map) -> "_TargetFaces":
        analysed, seconds = self._analysed(photo, "target photo", self._wanted_of_target(quality_filter), spread)
        if analysed.found == 0 and self.settings.target_without_faces == "error":
            raise no_face(analysed, quality_filter)
        return _TargetFaces(
            faces=analysed.faces,
            profile=self._engine.scorer.profile(analysed.vectors) if analysed.faces else None,
            orientation_correction=self._correction(analysed),
            trace=Trace(analysed.image.notes, seconds, target_faces=analysed.found),
        )

    def _wanted_of_target(self, quality_filter: QualityFilter) -> Wanted:
        attributes = self.settings.face_attributes == "all"
        return Wanted(self.settings.max_faces, quality_filter, self.settings.search_rotations, attributes)

    def _analysed(self, photo: Photo, name: str, wanted: Wanted, spread: Map) -> tuple[AnalysedPhoto, dict[str, float]]:
        """A photo's faces, and the seconds that each stage took."""
        with recording() as seconds:
            analysed = analyse(self._engine, open_image(photo, name=name, limits=self.settings.limits), wanted, spread)
        return analysed, seconds

    def _correction(self, analysed: AnalysedPhoto) -> OrientationCorrection | None:
        return analysed.orientation_correction if self.settings.orientation_correction == "estimate" else None

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


_warming = Lock()


def _after_fork() -> None:
    """No thread in the child releases a lock that a thread of the parent held."""
    global _warming
    _warming = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _one_comparer() -> Comparer:
    return Comparer()


def warm_comparer() -> Comparer:
    """The comparer on the standard pack that `likeness.compare_faces` keeps for the whole process."""
    with _warming:  # two first calls at once must not load the networks twice
        return _one_comparer()


@dataclass(frozen=True, slots=True, eq=False)
class _TargetFaces:
    """The faces of a target photo, largest first, as values and as the scorer sees them; None where there are none."""

    faces: tuple[Face, ...]
    profile: Profile | None
    orientation_correction: OrientationCorrection | None
    trace: Trace


def _outcome(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the error that it raises for a photo."""
    try:
        return work()
    except RequestError as error:
        return error


def _value(outcome: Any) -> Any:
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


def _check_types(pack: object, settings: object, threads: object) -> None:
    """Raises SettingsError for arguments that make no Comparer."""
    if not isinstance(pack, (str, PathLike)):
        raise SettingsError(f"pack is {pack!r}; it must be the name of a pack or the path of its folder")
    if not isinstance(settings, ComparerSettings | None):
        raise SettingsError(f"settings is an object of type {type(settings).__name__}; pass a ComparerSettings")
    if threads is not None and not (isinstance(threads, int) and threads >= 0):
        raise SettingsError(f"threads is {threads!r}; it must be a whole number, or None for all processors")


def check_choices(similarity_threshold: float, quality_filter: str) -> None:
    """Raises InvalidParameter for a threshold or a filter that a comparison cannot have."""
    if not isinstance(similarity_threshold, Real) or isinstance(similarity_threshold, bool):
        raise InvalidParameter(f"similarity_threshold is {similarity_threshold!r}; it must be a number from 0 to 100.")
    if not 0.0 <= similarity_threshold <= 100.0:
        raise InvalidParameter(f"similarity_threshold is {similarity_threshold}; it must lie between 0 and 100.")
    if quality_filter not in QUALITY_FILTERS:
        raise InvalidParameter(f"quality_filter is {quality_filter!r}; it must be one of {', '.join(QUALITY_FILTERS)}.")


def no_face(analysis: AnalysedPhoto, quality_filter: str) -> RequestError:
    """The error of a photo of which no face can be used."""
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
