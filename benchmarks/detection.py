"""The accuracy and speed of detection: average precision on WIDER photos, confidences by score, and time.

    python benchmarks/detection.py [--data DIR] [--pack standard]

Average precision as in PASCAL VOC 2010 (the area under the precision envelope) at an overlap (intersection over union)
of 0.5, of the pipeline and of single searches at other sizes. With a lower limit of size, as in COCO, smaller annotated
faces are ignored, as are detections that match them, and a detection that matches nothing counts only if it is not
below the limit itself. Size is measured in three ways: the square root of the area (COCO), the height (WIDER), and the
shorter side. `strict` counts every detection that matches nothing, however small.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.image import open_image
from likeness.pipeline import decoded, search
from likeness.vision.detection import (
    Detections,
    Detector,
    confidences,
    search_sizes,
)
from likeness.vision.pyramid import Pyramid
from likeness.vision.suppression import areas, overlaps

Boxes = NDArray[np.float32]

_OVERLAP = 0.5
_SIZES: dict[str, Callable[[Boxes], NDArray[np.float32]]] = {
    "area": lambda boxes: np.sqrt(areas(boxes)),
    "height": lambda boxes: boxes[:, 3] - boxes[:, 1],
    "shorter side": lambda boxes: (boxes[:, 2:] - boxes[:, :2]).min(axis=1),
}
_BOUNDS_PX = (16, 40)


class CountingDetector:
    """A detector that counts the searches, their pixels and their processor time."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.searches = 0
        self.megapixels = 0.0
        self.seconds = 0.0

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        self.searches += 1
        self.megapixels += pixels.shape[0] * pixels.shape[1] / 1e6
        started = time.thread_time()
        seen = self._detector.detect(pixels)
        self.seconds += time.thread_time() - started
        return seen


def verdicts(
    found: Detections, truth: Boxes, wanted: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> list[tuple[float, bool]]:
    """(score, whether it matches a wanted face) of the detections of one photo that count.

    Detections are matched by descending score, each annotated face once. Those of unwanted faces do not count, nor do
    those that match nothing and are not `counted`.
    """
    shared = overlaps(found.boxes, truth) if len(truth) else np.zeros((len(found), 1), np.float32)
    free = wanted.copy() if len(truth) else np.zeros(1, bool)
    unwanted = ~wanted if len(truth) else np.zeros(1, bool)
    answer = []
    for score, row, counts in zip(found.scores, shared, counted, strict=True):
        best = int(np.argmax(np.where(free, row, 0)))
        if free[best] and row[best] >= _OVERLAP:
            free[best] = False
            answer.append((float(score), True))
        elif not (row[unwanted] >= _OVERLAP).any() and counts:
            answer.append((float(score), False))
    return answer


def average_precision(
    found: Mapping[str, Detections], truth: Mapping[str, Boxes], *, size: str, bound_px: float, strict: bool = False
) -> tuple[float, int]:
    """The average precision over photos, and the number of wanted annotated faces."""
    measure = _SIZES[size]
    decided: list[tuple[float, bool]] = []
    total = 0
    for name, boxes in truth.items():
        wanted = measure(boxes) >= bound_px
        total += int(wanted.sum())
        counted = np.full(len(found[name]), True) if strict else measure(found[name].boxes) >= bound_px
        decided += verdicts(found[name], boxes, wanted, counted)
    decided.sort(key=lambda each: -each[0])
    hits = np.cumsum([hit for _, hit in decided])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    recall = np.concatenate([[0], hits / total])
    return float((np.diff(recall) * precision).sum()), total


def precisions(found: Mapping[str, Detections], truth: Mapping[str, Boxes]) -> list[float]:
    """The average precision by area for each lower limit of size."""
    return [average_precision(found, truth, size="area", bound_px=bound)[0] for bound in _BOUNDS_PX]


def print_confidence(found: Mapping[str, Detections], truth: Mapping[str, Boxes]) -> None:
    """Prints the share of detections by score that overlap an annotated face by 0.3, and their mean confidence."""
    scores = np.concatenate([found[name].scores for name in truth])
    true = np.concatenate([(overlaps(found[name].boxes, truth[name]) >= 0.3).any(axis=1) for name in truth])
    print("\nscore        detections   faces   confidence given")
    for low, high in itertools.pairwise((0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)):
        chosen = (scores >= low) & (scores < high)
        given = confidences(scores[chosen]).mean() if chosen.any() else 0
        print(f"{low:.2f} to {high:.2f} {chosen.sum():10d} {100 * true[chosen].mean():8.1f} % {given:12.2f}")


def search_alone(detector: Detector, photo: Pyramid, scale: float) -> Detections:
    """The faces of one search at `scale` times the width and height of the first one."""
    width, height = photo.size
    across, down = (max(1, round(side * scale / 32)) * 32 for side in search_sizes(width, height)[0])
    return detector.detect(photo.resized((across, down))).scaled(width / across, height / down)


def print_row(name: str, photos: int, detector: CountingDetector, precisions: Sequence[float]) -> None:
    """Searches, their size and processor time a photo, and average precisions."""
    cells = " ".join(f"{precision:.3f}" for precision in precisions)
    searches, pixels = detector.searches / photos, detector.megapixels / detector.searches
    print(
        f"{name:32s} {searches:5.2f} of {pixels:.2f} Mpx {1000 * detector.seconds / photos:6.1f} ms   {cells}",
        flush=True,
    )


def main() -> None:
    repository = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("LIKENESS_DATA", repository.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="holds wider-natural/")
    parser.add_argument("--pack", default="standard")
    options = parser.parse_args()
    engine = Engine(options.pack)
    folder = options.data / "wider-natural"
    annotated = json.loads((folder / "boxes.json").read_text())
    truth = {name: np.array(boxes, np.float32).reshape(-1, 4) for name, boxes in annotated.items()}
    images = {name: open_image(folder / "images" / name) for name in truth}
    pyramids = {name: Pyramid.of(image.pixels()) for name, image in images.items()}

    print(f"{len(images)} photos       searches and processor time a photo        AP of faces from 16, 40 px")
    plain = engine.detector
    engine.detector = detector = CountingDetector(plain)
    found = {name: search(engine, decoded(image))[0] for name, image in images.items()}
    print_row("as shipped", len(images), detector, precisions(found, truth))
    for scale in (0.8, 1.0, 1.2, 1.6, 2.4):
        detector = CountingDetector(plain)
        alone = {name: search_alone(detector, photo, scale) for name, photo in pyramids.items()}
        print_row(f"one search at {scale} x the first", len(images), detector, precisions(alone, truth))

    print("\nsize           bound   faces   average precision   strict")
    for size in _SIZES:
        for bound in _BOUNDS_PX:
            precision, faces = average_precision(found, truth, size=size, bound_px=bound)
            strict, _ = average_precision(found, truth, size=size, bound_px=bound, strict=True)
            print(f"{size:14s} {bound:2d} px {faces:7d} {precision:19.3f} {strict:8.3f}")
    print_confidence(found, truth)


if __name__ == "__main__":
    main()
