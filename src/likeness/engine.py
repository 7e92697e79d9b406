"""The networks of one pack as the steps of the pipeline, each made when it is first needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from os import PathLike
from threading import BoundedSemaphore, RLock
from typing import Any, TypeVar, cast

import cv2

from likeness import packs
from likeness.errors import PackInvalid
from likeness.faces import QualityFilter
from likeness.packs.manifest import SCORINGS, Manifest
from likeness.vision.calibration import Calibration
from likeness.vision.detector import Detector
from likeness.vision.detectors import make_detector
from likeness.vision.embedding import Embedder, VectorPart
from likeness.vision.expression import ExpressionReader
from likeness.vision.face_embedder import FaceEmbedder
from likeness.vision.fusion import FusedProfile, FusedScorer, Part
from likeness.vision.mesh import Mesh
from likeness.vision.quality import DEFAULT_BARS, QualityBar
from likeness.vision.scoring import Scorer
from likeness.vision.turn_taking import TurnTaking

Step = TypeVar("Step")


class Engine:
    """What a pack can do. Steps are made once, whichever thread asks first, and serve all threads.

    `threads` are those that one run of one network may use, and as many large searches are made at once. Raises
    PackInvalid, PackNotInstalled, PackDownloadFailed, PackDamaged: for the pack when made, for its files when a step is
    first asked for.
    """

    def __init__(self, pack: str | PathLike[str], *, threads: int) -> None:
        # OpenCV would wake a thread for every processor for work that takes a tenth of a millisecond.
        cv2.setNumThreads(1)
        self._pack = packs.load(pack, threads=threads)
        # What large searches need at once adds up, and the arena keeps it.
        self._turns = BoundedSemaphore(threads)
        self._bars = _quality_bars(self._pack.manifest)
        self._steps: dict[str, Any] = {}
        self._making = RLock()

    @property
    def manifest(self) -> Manifest:
        """The pack's description."""
        return self._pack.manifest

    @property
    def detector(self) -> Detector:
        """Who finds faces."""
        return self._step("detector", lambda: TurnTaking(self._make_detector("detector"), self._turns))

    @property
    def scout(self) -> Detector | None:
        """Who says quickly whether a fine search is worth it; None where the pack has nobody for it."""
        if not self._pack.has("scout"):
            return None
        return self._step("scout", lambda: self._make_detector("scout"))

    @property
    def mesh(self) -> Mesh | None:
        """Who fits the face mesh; None where the pack has none, and the detector's points must do."""
        return self._step("mesh", self._make_mesh) if self._pack.has("mesh") else None

    @property
    def expressions(self) -> ExpressionReader | None:
        """Who reads emotions; None where the pack has no network for it."""
        if not self._pack.has("expression"):
            return None
        return self._step("expression", lambda: ExpressionReader(self._pack.network("expression")))

    @property
    def embedders(self) -> Sequence[FaceEmbedder]:
        """Who turns looks at a face into vectors; a face's vector is theirs, one behind the other."""
        return [self._step(name, partial(self._make_embedder, name)) for name in self.manifest.embedders]

    @property
    def vector_parts(self) -> Sequence[VectorPart]:
        """The embedders' shares of a face's vector, one behind the other."""
        return [self._vector_part(name) for name in self.manifest.embedders]

    @property
    def scorer(self) -> FusedScorer:
        """Who turns two vectors into a score."""
        return self._step("scorer", self._make_scorer)

    @property
    def calibration(self) -> Calibration:
        """Score to Similarity; PackInvalid where the pack has no curve, as it then promises nothing."""
        calibration = self.manifest.calibration
        if calibration is None:
            raise PackInvalid(
                f"{self.manifest.described_as} has no [calibration], so it cannot say how alike two faces are; "
                "make one with `likeness calibrate`"
            )
        return calibration

    def quality_bar(self, quality_filter: QualityFilter) -> QualityBar | None:
        """What a filter asks of a face; None for NONE."""
        return None if quality_filter == "NONE" else self._bars[quality_filter]

    def similarities(self, source: FusedProfile, targets: FusedProfile) -> list[float]:
        """The Similarity, 0 to 100, of the one face of `source` with each of `targets`."""
        (scores,) = self.scorer.compare(source, targets)
        return [float(value) for value in self.calibration.similarity(scores)]

    def warm_up(self) -> None:
        """Makes every step, so that the first comparison is as fast as the next."""
        _ = (
            self.detector,
            self.scout,
            self.mesh,
            self.expressions,
            self.embedders,
            self.scorer,
            self.calibration,
        )

    def _make_detector(self, name: str) -> Detector:
        role = self.manifest.role(name)
        try:
            return make_detector(role.family, self._pack.network(name), role.parameters)
        except ValueError as error:
            raise PackInvalid(f"{self.manifest.described_as}, [roles.{name}]: {error}") from error

    def _make_embedder(self, name: str) -> FaceEmbedder:
        fed = self.manifest.embedder_input(name)
        try:
            embedder = Embedder(self._pack.network(name), mean=fed.mean, scale=fed.scale, lengths=fed.lengths)
        except ValueError as error:
            raise PackInvalid(f"{self.manifest.described_as}, [roles.{name}]: {error}") from error
        return FaceEmbedder(fed.aligner, embedder, reversed_colours=fed.colour == "bgr")

    def _make_mesh(self) -> Mesh:
        try:
            return Mesh(self._pack.network("mesh"))
        except ValueError as error:
            raise PackInvalid(f"{self.manifest.described_as}, [roles.mesh]: {error}") from error

    def _make_scorer(self) -> FusedScorer:
        try:
            return FusedScorer([self._make_part(name) for name in self.manifest.embedders])
        except ValueError as error:
            raise PackInvalid(f"{self.manifest.described_as}: {error}") from error

    def _make_part(self, embedder: str) -> Part:
        """How the vectors of one embedder are scored, and how much that counts."""
        scoring, table = self.manifest.scorings[embedder], SCORINGS[embedder]
        vectors = self._vector_part(embedder)
        size = vectors.size
        if scoring.method == "cosine":
            return Part(size, Scorer())
        if scoring.method != "normalised" or "strangers" not in scoring.files:
            raise PackInvalid(
                f"{self.manifest.described_as}: [{table}] must have the method cosine, or normalised with the file "
                "strangers"
            )
        numbers = scoring.parameters
        arrays = {name: self._pack.array(file) for name, file in scoring.files.items()}
        learned = arrays.get("metric", arrays["strangers"].T).shape[0]
        if size not in (0, learned):
            raise PackInvalid(
                f"{self.manifest.described_as}: [{table}] was learned of vectors of {learned} numbers, and the network "
                f"of {embedder} gives {size}; take the table out and learn it anew with `likeness calibrate`"
            )
        try:
            scorer = Scorer(
                arrays["strangers"],
                nearest=int(numbers.get("nearest", 0)),
                metric=arrays.get("metric"),
                centre=arrays.get("centre"),
                credit=float(numbers.get("credit", 0.0)),
                lengths=vectors.lengths,
            )
        except ValueError as error:
            raise PackInvalid(f"{self.manifest.described_as}: [{table}] {error}") from error
        return Part(size, scorer, float(numbers.get("weight", 1.0)))

    def _vector_part(self, embedder: str) -> VectorPart:
        size = self._pack.network(embedder).output_shapes[0][-1]
        lengths = self.manifest.embedder_input(embedder).lengths
        if isinstance(size, int):
            return VectorPart(size, lengths)
        if embedder == self.manifest.embedders[-1]:
            return VectorPart(0, lengths)
        raise PackInvalid(
            f"{self.manifest.described_as}: the network of {embedder} does not say how long its vectors are, so nobody "
            "knows where those of the next begin"
        )

    def _step(self, name: str, make: Callable[[], Step]) -> Step:
        with self._making:
            if name not in self._steps:
                self._steps[name] = make()
            return cast(Step, self._steps[name])


def _quality_bars(manifest: Manifest) -> Mapping[QualityFilter, QualityBar]:
    """The bars of the manifest's [quality] tables over the default ones; PackInvalid for what is not a bar."""
    known = {each.name for each in fields(QualityBar)}
    bars = dict(DEFAULT_BARS)
    for name, limits in manifest.quality.items():
        if name not in bars or set(limits) != known:
            raise PackInvalid(
                f"{manifest.described_as}: [quality.{name}] must be one of {', '.join(bars)} "
                f"with the limits {', '.join(sorted(known))}"
            )
        bars[name] = QualityBar(**limits)
    return bars
