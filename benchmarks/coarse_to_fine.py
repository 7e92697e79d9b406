"""When the coarse search is enough: how exact its faces are, how often it ends the search, and what is then missed;
without the scout, and with it.

    python benchmarks/coarse_to_fine.py [--photos 260]

On photos of lfw-dev (LIKENESS_DATA), drawn at random.
"""

import argparse
import os
import random
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs
from likeness.engine import Engine
from likeness.vision import detection
from likeness.vision.detection import Detections, Detector, find_faces, largest
from likeness.vision.detectors import make_detector
from likeness.vision.search_sizes import ladder, working_size
from likeness.vision.suppression import overlaps

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
_SIDES_PX = (64, 96, 128, 160, 192, 256, 384, 512)
_THRESHOLDS = (0.25, 0.2, 0.15)
_SCOUT_THRESHOLDS = (0.5, 0.3, 0.2, 0.15, 0.1)
#: The scout is asked of photos of this side, enlarged: as large as most photos are.
_SCOUTED_PX = 1080


def _fine_alone() -> AbstractContextManager[object]:
    """Photos are searched at their working size alone."""
    return mock.patch.object(detection, "ladder", lambda width, height: ladder(width, height)[-1:])


class _Watched:
    """Passes photos on, drops answers weaker than `threshold`, and remembers the largest picture that it was shown."""

    def __init__(self, detector: Detector, threshold: float) -> None:
        self._detector, self._threshold, self.pixels = detector, threshold, 0

    @property
    def seen_well_px(self) -> float:
        return self._detector.seen_well_px

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        self.pixels = max(self.pixels, pixels.shape[0] * pixels.shape[1])
        seen = self._detector.detect(pixels)
        return seen[seen.scores >= self._threshold]


def print_points(engine: Engine, photos: list[NDArray[np.uint8]]) -> None:
    """How far the detector's points of the largest face lie off the mesh's, less the median of each point's offset."""
    print("face, px of the search   points off the mesh's, eye distances: median   95 %")
    offsets: dict[int, list[NDArray[np.complex128]]] = {side: [] for side in _SIDES_PX}
    widths: dict[int, list[float]] = {side: [] for side in _SIDES_PX}
    for photo in photos:
        with _fine_alone():
            found = largest(find_faces(engine.detector, photo)[0], 1)
        mesh = engine.mesh.measure(photo, found.boxes, found.points)[0] if engine.mesh and len(found) else None
        if mesh is None:
            continue
        exact = mesh.landmarks[:, 0] + 1j * mesh.landmarks[:, 1]
        for side in _SIDES_PX:
            seen = engine.detector.detect(cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA))
            seen = seen.scaled(photo.shape[1] / side, photo.shape[0] / side)
            same = np.flatnonzero(overlaps(seen.boxes, found.boxes)[:, 0] > 0.4)
            if len(same):
                points = seen.points[same[0], :, 0] + 1j * seen.points[same[0], :, 1]
                offsets[side].append((points - exact) / (exact[1] - exact[0]))
                widths[side].append(float(np.ptp(seen.boxes[same[0], ::2])) * side / photo.shape[1])
    for side in _SIDES_PX:
        each = np.array(offsets[side])
        off = np.abs(each - np.median(each.real, axis=0) - 1j * np.median(each.imag, axis=0)).mean(axis=1)
        print(f"{np.median(widths[side]):24.0f} {np.median(off):46.3f} {np.quantile(off, 0.95):6.3f}")


def _missed(found: Detections, expected: Detections) -> int:
    """How many of the expected faces are not among those found."""
    if not len(found):
        return len(expected)
    return int((overlaps(expected.boxes, found.boxes).max(axis=1, initial=0) < 0.4).sum())


def print_ends(detector: Detector, photos: list[NDArray[np.uint8]]) -> None:
    """How often coarser searches are enough, and whether the fine search alone finds more or another largest face."""
    print("\nweak from   ended coarsely   of these lack a face   largest face is another")
    with _fine_alone():
        fine = [find_faces(_Watched(detector, 0.25), photo)[0] for photo in photos]
    for threshold in _THRESHOLDS:
        ended = lacking = other = 0
        for photo, expected in zip(photos, fine, strict=True):
            watched = _Watched(detector, threshold)
            found, _ = find_faces(watched, photo)
            width, height = working_size(photo.shape[1], photo.shape[0])
            coarsely = watched.pixels < width * height
            ended += coarsely
            lacking += coarsely and _missed(found, expected) > 0
            if len(found) and len(expected):
                other += bool(overlaps(largest(found, 1).boxes, largest(expected, 1).boxes)[0, 0] <= 0.5)
        print(f"{threshold:9.2f} {ended / len(photos):16.3f} {lacking:22d} {other:25d}")


def print_scout(engine: Engine, photos: list[NDArray[np.uint8]]) -> None:
    """How often the scout lets a fine search be left out, and how many of these photos then lack a face."""
    pack = packs.load("standard", threads=1)
    role = pack.manifest.role("scout")
    weakly = {**role.parameters, "score_threshold": min(_SCOUT_THRESHOLDS)}
    scout = make_detector(role.family, pack.network("scout"), weakly)
    print(f"\nphotos enlarged to {_SCOUTED_PX} px\nscout sees from   ended coarsely   of these lack a face")
    large = [cv2.resize(photo, (_SCOUTED_PX,) * 2, interpolation=cv2.INTER_CUBIC) for photo in photos]
    with _fine_alone():
        fine = [find_faces(engine.detector, photo)[0] for photo in large]
    side_px = working_size(_SCOUTED_PX, _SCOUTED_PX)[0]
    for threshold in (None, *_SCOUT_THRESHOLDS):
        ended = lacking = 0
        for photo, expected in zip(large, fine, strict=True):
            detector = _Watched(engine.detector, 0.15)
            found, _ = find_faces(detector, photo, scout=None if threshold is None else _Watched(scout, threshold))
            if detector.pixels < side_px**2:
                ended += 1
                lacking += _missed(found, expected) > 0
        print(f"{threshold or 'no scout':>15} {ended:16d} {lacking:22d}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=260)
    paths = sorted((DATA / "lfw-dev").rglob("*.jpg"))
    chosen = random.Random(21).sample(paths, parser.parse_args().photos)
    photos = [np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8) for path in chosen]
    engine = Engine("standard", threads=1)
    print_points(engine, photos)
    print_ends(engine.detector, photos)
    print_scout(engine, photos)


if __name__ == "__main__":
    main()
