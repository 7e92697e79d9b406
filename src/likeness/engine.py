"""The networks of one pack as the steps of the pipeline, each made when it is first needed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from os import PathLike
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs
from likeness.calibrated import calibration_of
from likeness.errors import PackInvalid
from likeness.faces import QualityFilter
from likeness.families import make_detector, make_embedder
from likeness.packs.manifest import Manifest
from likeness.settings import ComparerSettings
from likeness.vision.calibration import Calibration
from likeness.vision.detection import Detections, Detector
from likeness.vision.embedding import Embedder
from likeness.vision.mesh import Mesh
from likeness.vision.network import Network
from likeness.vision.quality import DEFAULT_BARS, QualityBar
from likeness.vision.scoring import Scorer

#: Searches of this many pixels or more run one at a time: each needs 45 bytes per pixel, 36 MB for the fine search of a
#: photo, and the arena would keep the sum of what several threads need at once.
_LARGE_PIXELS = 300_000
_DEFAULTS = ComparerSettings()


class Engine:
    """What a pack can do. Steps serve all threads; networks run in the calling thread.

    Raises PackInvalid, PackNotInstalled, PackDownloadFailed, PackDamaged, for files when a step is first used.
    """

    def __init__(self, pack: str | PathLike[str], settings: ComparerSettings = _DEFAULTS) -> None:
        # OpenCV would wake a thread for every processor for work that takes a tenth of a millisecond.
        cv2.setNumThreads(1)
        self._pack = packs.load(pack, threads=1, device=settings.device)
        self._settings = settings
        self.manifest: Manifest = self._pack.manifest
        self._bars = _quality_bars(self.manifest)

    @cached_property
    def detector(self) -> Detector:
        """Finds faces."""
        with self._named("roles.detector"):
            return _OneLargeSearch(make_detector(self.manifest.role("detector"), self._pack.network("detector")))

    @cached_property
    def mesh(self) -> Mesh | None:
        """Fits the face mesh; None if the pack has none; the detector's points are then used."""
        with self._named("roles.mesh"):
            return Mesh(self._pack.network("mesh")) if self._pack.has("mesh") else None

    @cached_property
    def expressions(self) -> Network | None:
        """Reads expressions; None if the pack has no network for it."""
        return self._pack.network("expression") if self._pack.has("expression") else None

    @cached_property
    def embedder(self) -> Embedder:
        """Turns faces into vectors."""
        with self._named("roles.embedder"):
            return make_embedder(self.manifest.embedder_input(), self._pack.network("embedder"))

    @cached_property
    def scorer(self) -> Scorer:
        """Turns two vectors into a score; PackInvalid if [scoring] of the manifest does not fit the pack."""
        scoring = self.manifest.scoring
        if scoring.method == "cosine":
            return Scorer()
        remedy = "take the table out and calibrate again with `likeness calibrate`"
        if scoring.method != "normalised" or "cohort" not in scoring.files:
            raise PackInvalid(
                f"{self.manifest.described_as}: [scoring] must have the method cosine, or normalised with the file "
                f"cohort; a pack calibrated for an earlier version has neither: {remedy}"
            )
        cohort = self._pack.array(scoring.files["cohort"])
        size = self._pack.network("embedder").output_shapes[0][1]  # of (N, D) or (N, D, 1, 1)
        if isinstance(size, int) and size != cohort.shape[-1]:
            raise PackInvalid(
                f"{self.manifest.described_as}: the cohort of [scoring] has vectors of {cohort.shape[-1]} numbers, and "
                f"the network of the embedder gives {size}; {remedy}"
            )
        with self._named("scoring"):
            return Scorer(cohort, nearest=int(scoring.parameters.get("nearest", 0)))

    @property
    def calibration(self) -> Calibration:
        """Score to Similarity; PackInvalid if the pack has none and the settings do not allow that."""
        return calibration_of(self.manifest, allow_none=self._settings.uncalibrated)

    def quality_bar(self, quality_filter: QualityFilter) -> QualityBar | None:
        """What a filter requires of a face; None for NONE."""
        return None if quality_filter == "NONE" else self._bars[quality_filter]

    def warm_up(self) -> None:
        """Makes every step, so that the first comparison is as fast as the next."""
        _ = (self.detector, self.mesh, self.expressions, self.embedder, self.scorer, self.calibration)

    @contextmanager
    def _named(self, part: str) -> Iterator[None]:
        """Names the pack and the part in errors."""
        try:
            yield
        except (TypeError, ValueError) as error:
            raise PackInvalid(f"{self.manifest.described_as}, [{part}]: {error}") from error


class _OneLargeSearch:
    """A detector of which one thread at a time searches a large picture."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._lock = Lock()

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """As `Detector.detect`."""
        if pixels.shape[0] * pixels.shape[1] < _LARGE_PIXELS:
            return self._detector.detect(pixels)
        with self._lock:
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
