"""Two photos in, one Comparison out: every comparison of the project is made here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from os import PathLike
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.errors import ComparerUnusable, InvalidImageFormat, NoFaceFound, RequestError
from likeness.executor import Executor, Map, in_turn
from likeness.faces import Comparison, Face, FaceMatch, OrientationCorrection, QualityFilter, Trace
from likeness.image import Photo, open_image
from likeness.image.decoding import Decode, decode
from likeness.pipeline import AnalysedPhoto, Wanted, analyse
from likeness.settings import ComparerSettings, check_arguments, check_choices
from likeness.stages import recording
from likeness.system.processors import thread_budget
from likeness.vision.calibration import Calibration
from likeness.vision.detection import Preference
from likeness.vision.scoring import Profile, Scorer

__all__ = ["Comparer", "ComparerSettings", "Photo", "SourceFace"]

#: The shape of the search that reserves memory of the networks; what it takes stands in `runtime.sessions`.
_RESERVING = (1216, 1216, 3)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFace:
    """The largest face of a source photo, made by `Comparer.prepare` to be compared with any number of target photos.

    `face` has no emotions and no smile; `vector` is its embedding, (D,) float32. It holds no pixels.
    """

    face: Face
    vector: NDArray[np.float32] = field(repr=False)
    profile: Profile = field(repr=False)
    orientation_correction: OrientationCorrection | None
    trace: Trace


class Comparer:
    """Loads a model pack once and compares any number of photos, from any number of threads.

        with Comparer() as comparer:
            comparison = comparer.compare("source.jpg", "target.jpg", similarity_threshold=90)

    `pack` is a pack's name (installed first if it is missing) or the path of a pack's folder. `threads` is how many
    processors one comparison may use; 0 or None: all that the process may. `decode` turns encoded photos into pixels;
    a server passes one that does so in another process. OpenCV is set to one thread, in the whole process. The
    same photos always give the same answer. Raises PackError if the pack cannot be used, ComparerUnusable after `close`
    and in a child that was forked during a comparison.
    """

    def __init__(
        self,
        pack: str | PathLike[str] = "standard",
        *,
        settings: ComparerSettings | None = None,
        threads: int | None = None,
        decode: Decode = decode,
    ) -> None:
        check_arguments(pack, settings, threads)
        self.settings = settings or ComparerSettings()
        self.decode = decode
        self.threads = threads or thread_budget()
        self._engine = Engine(pack, self.settings)
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
        return self._engine.manifest.vector_identity

    def similarities(
        self, vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The Similarity, 0 to 100, (P,), of the pairs `first[p]`, `second[p]` of `vectors` (N, D) from `prepare`."""
        return self.calibration.similarity(self.scorer.score_pairs(vectors, first, second))

    def warm_up(self) -> None:
        """Loads every network now instead of at the first comparison."""
        with self._executor.running():
            self._engine.warm_up()

    def reserve_memory(self) -> None:
        """Makes the networks allocate now, in 30 ms, the memory that they need after some thousand photos.

        The peak of several threads occurs by chance: without this a server's memory grows by a few megabytes for hours.
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
        nothing and appear nowhere. A source made by `prepare` is not analysed again.

        Raises NoFaceFound, ImageTooSmall, ImageTooLarge, InvalidImageFormat, InvalidParameter, all RequestErrors, with
        the photo named; when both photos are bad, for the source.
        """
        check_choices(similarity_threshold, quality_filter)
        wanted = self._wanted_of_target(quality_filter, "largest", None)
        with self._executor.running() as spread:
            # The target is first: the thread that finishes the source then takes some of its faces.
            photos: list[Callable[[], Any]] = [
                lambda: self._analysed(target, "target photo", wanted, spread),
                lambda: source if isinstance(source, SourceFace) else self._source(source, quality_filter),
            ]
            analysed, prepared = spread(_outcome, photos)
        for outcome in (prepared, analysed):
            if isinstance(outcome, RequestError):
                raise outcome
        seen, seconds = analysed
        if seen.found == 0 and self.settings.target_without_faces == "error":
            raise no_face(seen, quality_filter)
        return self._judge(prepared, seen, seconds, similarity_threshold)

    def prepare(
        self, source: Photo, *, quality_filter: QualityFilter = "NONE", prefer: Preference = "largest"
    ) -> SourceFace:
        """The largest face of `source`, to be compared with many target photos; raises what `compare` raises.

        With `prefer` "central" it is the face nearest to the middle, of those at least a quarter as large.
        """
        check_choices(80.0, quality_filter, prefer)
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
        """The faces of a photo, possibly none, at most `most` or as many as the settings allow, with their vectors.

        They are those of a target of `compare`, and the one that `prepare` takes with the same `prefer`. Raises what
        `compare` raises but NoFaceFound.
        """
        check_choices(80.0, quality_filter, prefer, most)
        wanted = self._wanted_of_target(quality_filter, prefer, most)
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
            notes += (f"{analysed.image.name}: {analysed.found} faces found; the {prefer} one is compared.",)
        return SourceFace(
            face=analysed.faces[0],
            vector=analysed.vectors[0],
            profile=self.scorer.profile(analysed.vectors),
            orientation_correction=self._correction(analysed),
            trace=Trace(notes, seconds, source_faces=analysed.found),
        )

    def _wanted_of_target(self, quality_filter: QualityFilter, prefer: Preference, most: int | None) -> Wanted:
        most, attributes = most or self.settings.max_faces, self.settings.face_attributes == "all"
        return Wanted(most, quality_filter, self.settings.search_rotations, attributes, prefer)

    def _analysed(self, photo: Photo, name: str, wanted: Wanted, spread: Map) -> tuple[AnalysedPhoto, dict[str, float]]:
        """A photo's faces, and the seconds that each stage took."""
        with recording() as seconds:
            image = open_image(photo, name=name, limits=self.settings.limits, decode=self.decode)
            analysed = analyse(self._engine, image, wanted, spread)
        image.release()
        return analysed, seconds

    def _correction(self, analysed: AnalysedPhoto) -> OrientationCorrection | None:
        return analysed.orientation_correction if self.settings.orientation_correction == "estimate" else None

    def _judge(
        self, source: SourceFace, target: AnalysedPhoto, seconds: dict[str, float], similarity_threshold: float
    ) -> Comparison:
        similarities: list[float] = []
        if target.faces:
            (scores,) = self.scorer.compare(source.profile, self.scorer.profile(target.vectors))
            similarities = self.calibration.similarity(scores).tolist()
        faces = [FaceMatch(value, face) for value, face in zip(similarities, target.faces, strict=True)]
        # `faces` is in the order of size; sorting keeps that order among equals (specification section 5.1).
        matches = sorted((f for f in faces if f.similarity >= similarity_threshold), key=lambda f: -f.similarity)
        return Comparison(
            source=source.face,
            matches=tuple(matches),
            unmatched=tuple(f for f in faces if f.similarity < similarity_threshold),
            source_orientation_correction=source.orientation_correction,
            target_orientation_correction=self._correction(target),
            trace=source.trace + Trace(target.image.notes, seconds, target_faces=target.found),
            calibrated=self._engine.manifest.calibration is not None,
        )


@cache
def warm_comparer() -> Comparer:
    """The comparer on the standard pack that a process keeps; of two made by simultaneous first calls, the first."""
    return Comparer()


def _outcome(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the error that it raises for a photo."""
    try:
        return work()
    except RequestError as error:
        return error


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
