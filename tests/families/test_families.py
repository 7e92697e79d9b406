"""Detectors are read by the public definitions of their families, and networks are fed as packs say."""

import json
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.errors import PackInvalid
from likeness.families import for_any_number, make_detector
from likeness.packs.manifest import Role
from likeness.vision.detection import CERTAIN_SCORE
from likeness.vision.network import Pictures

BOX = np.array([200.0, 120.0, 264.0, 204.0])
POINTS = np.array([[216, 152], [248, 153], [231, 170], [219, 184], [245, 183]], float)
PIXELS = np.dstack([np.full((250, 330), value, np.uint8) for value in (10, 20, 30)])

Outputs = list[NDArray[np.float32]]


class Network:
    """A network that records what it is fed and gives the outputs of `form` for a picture of that size."""

    takes_bytes = False

    def __init__(self, form: Any) -> None:
        self._form = form
        self.fed: Pictures = np.zeros(0, np.float32)

    def __call__(self, *inputs: Pictures) -> Outputs:
        self.fed = inputs[0]
        outputs: Outputs = self._form(*self.fed.shape[2:])
        return outputs


def scrfd(height: int, width: int) -> Outputs:
    """The authors' scrfd.py: distances and points in strides from the cell's corner, two anchors a cell."""
    outputs: Outputs = []
    for numbers in (1, 4, 10):
        for stride in (8, 16, 32):
            outputs.append(np.zeros((2 * (height // stride) * (width // stride), numbers), np.float32))
    column, row, stride = 14, 10, 16
    anchor = np.array([column, row]) * stride
    place = 2 * (row * (width // stride) + column) + 1
    outputs[1][place] = 0.8
    outputs[4][place] = np.concatenate([anchor - BOX[:2], BOX[2:] - anchor]) / stride
    outputs[7][place] = (POINTS - anchor).ravel() / stride
    return outputs


def centerface(height: int, width: int) -> Outputs:
    """The authors' centerface.py: a peak at the cell of the centre; heights first, y first."""
    rows, columns = height // 4, width // 4
    heat, sizes, offsets, points = (np.zeros((1, n, rows, columns), np.float32) for n in (1, 2, 2, 10))
    centre, sides = (BOX[:2] + BOX[2:]) / 2, BOX[2:] - BOX[:2]
    column, row = (centre // 4).astype(int)
    heat[0, 0, row, column] = 0.8
    sizes[0, :, row, column] = np.log(sides[::-1] / 4)
    offsets[0, :, row, column] = (centre / 4 - 0.5 - [column, row])[::-1]
    points[0, :, row, column] = ((POINTS - BOX[:2]) / sides)[:, ::-1].ravel()
    return [heat, sizes, offsets, points]


FORMS = {"scrfd": scrfd, "centerface": centerface}


def role(family: str, **parameters: Any) -> Role:
    return Role("detector", "d.onnx", family, MappingProxyType(parameters))


@pytest.mark.parametrize(
    ("family", "parameters", "expected"),
    [
        ("scrfd", {}, 0.6 + 0.4 * (0.8 - 0.5) / 0.5),
        ("centerface", {}, 0.6 + 0.4 * (0.8 - 0.35) / 0.65),
        ("scrfd", {"certain_score": CERTAIN_SCORE}, 0.8),
        ("scrfd", {"certain_score": 0.9}, 0.6 * 0.8 / 0.9),
    ],
)
def test_scores_are_told_on_the_scale_of_the_default_detector(
    family: str, parameters: dict[str, Any], expected: float
) -> None:
    """Where a family's publishers see a face, the rules that decide whether a photo has one see it too."""
    found = make_detector(role(family, **parameters), Network(FORMS[family])).detect(PIXELS)
    assert found.scores.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("side_px", [0, 320])
@pytest.mark.parametrize("family", FORMS)
def test_a_face_written_into_the_outputs_is_read(family: str, side_px: int) -> None:
    scale = 320 / 330 if side_px else 1.0
    network = Network(FORMS[family])
    found = make_detector(role(family, side_px=side_px), network).detect(PIXELS)
    assert network.fed.shape == ((1, 3, 320, 320) if side_px else (1, 3, 256, 352))
    assert len(found.scores) == 1
    np.testing.assert_allclose(found.boxes, [BOX / scale], atol=1e-3)
    np.testing.assert_allclose(found.points, [POINTS / scale], atol=1e-3)


@pytest.mark.parametrize("family", FORMS)
def test_a_threshold_above_the_score_finds_nothing(family: str) -> None:
    found = make_detector(role(family, score_threshold=0.9), Network(FORMS[family])).detect(PIXELS)
    assert (found.boxes.shape, found.points.shape) == ((0, 4), (0, 5, 2))


@pytest.mark.parametrize(
    ("parameters", "first_pixel"),
    [
        ({}, [(10 - 127.5) / 128, (20 - 127.5) / 128, (30 - 127.5) / 128]),
        ({"colour": "bgr"}, [(30 - 127.5) / 128, (20 - 127.5) / 128, (10 - 127.5) / 128]),
        ({"colour": "bgr", "mean": [1, 2, 3], "scale": 2}, [27 / 2, 18 / 2, 9 / 2]),
    ],
)
def test_scrfd_is_fed_as_published_or_as_the_pack_says(parameters: dict[str, Any], first_pixel: list[float]) -> None:
    network = Network(scrfd)
    make_detector(role("scrfd", **parameters), network).detect(PIXELS)
    np.testing.assert_allclose(network.fed[0, :, 0, 0], first_pixel, rtol=1e-6)


@pytest.mark.parametrize(
    "parameters", [{"colour": "grey"}, {"mean": [1, 2]}, {"scale": 0}, {"side": 1}, {"certain_score": 1}]
)
def test_parameters_that_make_no_detector_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(PackInvalid):
        make_detector(role("scrfd", **parameters), Network(scrfd))


class Doubling:
    """A network of a fixed number of pictures that gives each picture's sum, twice."""

    takes_bytes = False

    def __call__(self, *inputs: Pictures) -> Outputs:
        assert len(inputs[0]) == 2
        sums = inputs[0].reshape(2, -1).sum(axis=1, keepdims=True).astype(np.float32)
        return [np.concatenate([sums, sums], axis=1)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_network_of_a_fixed_number_of_pictures_takes_any(count: int) -> None:
    pictures = np.arange(count * 12, dtype=np.float32).reshape(count, 3, 2, 2)
    (sums,) = for_any_number(Doubling(), [2, 3, 2, 2])(pictures)
    np.testing.assert_array_equal(sums[:, 0], pictures.reshape(count, -1).sum(axis=1))
    assert sums.shape == (count, 2)


def test_a_network_of_any_number_of_pictures_is_left_alone() -> None:
    network = Doubling()
    assert for_any_number(network, ["N", 3, 2, 2]) is network


@pytest.mark.engine
def test_packs_beyond_the_standard_one_cost_it_no_module_and_no_dependency(portraits: dict[str, Path]) -> None:
    """A comparison with the standard pack, in a process of its own, loads nothing that only other packs need."""
    code = (
        "import json, sys\n"
        "from likeness import Comparer\n"
        "with Comparer() as comparer: comparer.compare(*sys.argv[1:])\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    photos = [str(portraits[name]) for name in ("obama.jpg", "obama2.jpg")]
    done = subprocess.run([sys.executable, "-c", code, *photos], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    ours = {
        "detectors",
        "embedders",
        "preprocessed",
    }  # which say that the standard pack's networks are used as they are
    assert {name for name in loaded if name.startswith("likeness.families.")} == {
        f"likeness.families.{n}" for n in ours
    }
    assert not {"likeness.authoring", "likeness.runtime.batching", "likeness.evaluation", "likeness.server"} & loaded
    assert not {"onnx", "xml", "urllib.request", "http.client", "ssl"} & loaded
