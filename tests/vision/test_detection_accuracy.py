"""Average precision on WIDER photos, as `python benchmarks/detection.py` prints it."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from likeness.engine import Engine
from likeness.image import open_image
from likeness.pipeline import decoded, search
from likeness.vision.detection import Detections

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "detection.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    specification = importlib.util.spec_from_file_location("benchmark_of_detection", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_average_precision_by_hand(benchmark: ModuleType) -> None:
    """Found, missed, false, doubled, and too small to count either way."""
    truth = {"a": np.array([[0, 0, 20, 20], [50, 0, 70, 20], [90, 0, 94, 4]], np.float32)}
    boxes = np.array([[0, 0, 20, 20], [0, 50, 20, 70], [1, 0, 21, 20], [90, 0, 94, 4], [0, 90, 4, 94]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    found = {"a": Detections(boxes, scores, np.zeros((5, 5, 2), np.float32))}
    # One of two wanted faces is found, before any false detection: half the recall at full precision.
    assert benchmark.average_precision(found, truth, size="area", bound_px=16) == (0.5, 2)
    # Without the best detection: false, then true, at a precision of one half; small unmatched ones are not false.
    later = {"a": found["a"][1:]}
    assert benchmark.average_precision(later, truth, size="area", bound_px=16) == (0.25, 2)


@pytest.mark.data
@pytest.mark.engine
def test_faces_of_crowds_are_found(data_dir: Path, standard_pack: None, benchmark: ModuleType) -> None:
    engine = Engine("standard")
    folder = data_dir / "wider-natural"
    annotated = json.loads((folder / "boxes.json").read_text())
    truth = {name: np.array(boxes, np.float32).reshape(-1, 4) for name, boxes in annotated.items()}
    found = {name: search(engine, decoded(open_image(folder / "images" / name)))[0] for name in truth}
    assert benchmark.average_precision(found, truth, size="area", bound_px=16)[0] >= 0.85
    assert benchmark.average_precision(found, truth, size="area", bound_px=40)[0] >= 0.945
