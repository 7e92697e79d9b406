"""The networks of one pack as the steps of the pipeline, each made when it is first needed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from os import PathLike
from threading import Lock, RLock
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs
from likeness.errors import PackInvalid
from likeness.faces import QualityFilter
from likeness.packs.manifest import Manifest
from likeness.vision.calibration import Calibration
from likeness.vision.detection import Detections, Detector
from likeness.vision.embedding import Embedder
from likeness.vision.expression import ExpressionReader
from likeness.vision.mesh import Mesh
from likeness.vision.quality import DEFAULT_BARS, QualityBar
from likeness.vision.scoring import Profile, Scorer
from likeness.vision.yunet import YuNet

Step = TypeVar("Step")

#: From this many pixels on a search waits until no other of this size runs: it needs 45 bytes a pixel, 36 MB for the
#: fine look at a photo, and what several threads need at once would add up in the arena, which keeps it.
_LARGE_PIXELS = 300_000


class Engine:
    """What a pack can do. Steps are made once, whichever thread asks first, and serve all threads.

    Networks run in the thread that asks. Raises PackInvalid, PackNotInstalled, PackDownloadFailed, PackDamaged: for the
    pack when made, for its files when a step is first asked for.
    """

    def __init__(self, pack: str | PathLike[str]) -> None:
        # OpenCV would wake a thread for every processor for work that takes a tenth of a millisecond.
        cv2.setNumThreads(1)
        self._pack = packs.load(pack, threads=1)
        self._bars = _quality_bars(self._pack.manifest)
        self._steps: dict[str, Any] = {}
        self._making = RLock()

    @property
    def manifest(self) -> Manifest:
        """The pack's description."""
        return self._pack.manifest

    @property
    def detector(self) -> Detector:
        """Finds faces."""
        return self._step("detector", self._make_detector)

    @property
    def mesh(self) -> Mesh | None:
        """Fits the face mesh; None where the pack has none, and the detector's points must do."""
        return self._step("mesh", self._make_mesh) if self._pack.has("mesh") else None

    @property
    def expressions(self) -> ExpressionReader | None:
        """Reads emotions; None where the pack has no network for it."""
        if not self._pack.has("expression"):
            return None
        return self._step("expression", lambda: ExpressionReader(self._pack.network("expression")))

    @property
    def embedder(self) -> Embedder:
        """Turns faces into vectors."""
        return self._step("embedder", self._make_embedder)

    @property
    def scorer(self) -> Scorer:
        """Turns two vectors into a score."""
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

    def similarities(self, source: Profile, targets: Profile) -> list[float]:
        """The Similarity, 0 to 100, of the one face of `source` with each of `targets`."""
        (scores,) = self.scorer.compare(source, targets)
        return [float(value) for value in self.calibration.similarity(scores)]

    def warm_up(self) -> None:
        """Makes every step, so that the first comparison is as fast as the next."""
        _ = (self.detector, self.mesh, self.expressions, self.embedder, self.scorer, self.calibration)

    def _make_detector(self) -> Detector:
        role = self.manifest.role("detector")
        with self._named("detector"):
            return _LargeInTurn(YuNet(self._pack.network("detector"), **role.parameters))

    def _make_embedder(self) -> Embedder:
        fed = self.manifest.embedder_input()
        with self._named("embedder"):
            return Embedder(
                self._pack.network("embedder"),
                fed.aligner,
                normalised=(fed.mean, fed.scale),
                reversed_colours=fed.colour == "bgr",
                lengths=fed.lengths,
            )

    def _make_mesh(self) -> Mesh:
        with self._named("mesh"):
            return Mesh(self._pack.network("mesh"))

    @contextmanager
    def _named(self, role: str) -> Iterator[None]:
        """Says of which pack and role it is that something does not fit."""
        try:
            yield
        except (TypeError, ValueError) as error:
            raise PackInvalid(f"{self.manifest.described_as}, [roles.{role}]: {error}") from error

    def _make_scorer(self) -> Scorer:
        scoring = self.manifest.scoring
        if scoring.method == "cosine":
            return Scorer()
        if scoring.method != "normalised" or "cohort" not in scoring.files:
            raise PackInvalid(
                f"{self.manifest.described_as}: [scoring] must have the method cosine, or normalised with the file "
                "cohort; take the table out of a pack calibrated for an earlier version, and learn it anew with "
                "`likeness calibrate`"
            )
        cohort = self._pack.array(scoring.files["cohort"])
        size = self._pack.network("embedder").output_shapes[0][-1]
        if isinstance(size, int) and size != cohort.shape[-1]:
            raise PackInvalid(
                f"{self.manifest.described_as}: the cohort of [scoring] has vectors of {cohort.shape[-1]} numbers, and "
                f"the network of the embedder gives {size}; take the table out and learn it anew with "
                "`likeness calibrate`"
            )
        try:
            return Scorer(cohort, nearest=int(scoring.parameters.get("nearest", 0)))
        except ValueError as error:
            raise PackInvalid(f"{self.manifest.described_as}: [scoring] {error}") from error

    def _step(self, name: str, make: Callable[[], Step]) -> Step:
        with self._making:
            if name not in self._steps:
                self._steps[name] = make()
            return cast(Step, self._steps[name])


class _LargeInTurn:
    """Searches as `detector` does; large pictures one at a time."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._searching = Lock()

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """As `Detector.detect`."""
        if pixels.shape[0] * pixels.shape[1] < _LARGE_PIXELS:
            return self._detector.detect(pixels)
        with self._searching:
            return self._detector.detect(pixels)


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
