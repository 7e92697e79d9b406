"""HSE's face network: the converted network against its TensorFlow.js graph, and files that are not what they should
be.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import skimage.transform
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.faceres import MEAN_RGB, convert_faceres

Run = Callable[..., list[NDArray[np.float32]]]
Numbers = NDArray[np.float32]


@pytest.fixture(scope="module")
def data(original: Callable[[str], Path]) -> bytes:
    return original("faceres.onnx").read_bytes()


@pytest.fixture(scope="module")
def graph(original: Callable[..., Path]) -> dict[str, Any]:
    """The description that lies beside the weights: the graph, and the order of its tensors."""
    sha256 = "5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df"
    loaded: dict[str, Any] = json.loads(
        original("faceres.onnx", beside=("package/models/faceres.json", sha256)).read_text("utf-8")
    )
    return loaded


@pytest.fixture(scope="module")
def run(data: bytes, session: Callable[[bytes], Run]) -> Run:
    return session(convert_faceres(data))


def portraits() -> NDArray[np.uint8]:
    """Crops of the astronaut around her face, shifted and of several sizes, at 224×224."""
    photo, crops = skimage.data.astronaut(), []
    for side, top, left in ((150, 30, 160), (190, 10, 130), (120, 60, 175)):
        crop = skimage.transform.resize(photo[top : top + side, left : left + side], (224, 224), anti_aliasing=True)
        crops.append((crop * 255).astype(np.uint8))
    return np.array(crops)


def test_equals_the_graph_that_it_is_made_of(data: bytes, graph: dict[str, Any], run: Run) -> None:
    chips = portraits()
    found = run(chips=chips)[0]
    expected = _by_the_graph(graph, data, chips[..., ::-1] - np.array(MEAN_RGB[::-1], np.float32))
    cosines = (found * expected).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    # What is appended at two edges is black here, and of the mean colour there.
    assert cosines.min() > 0.999
    assert np.abs(found - expected).max() < 0.3
    assert (found.std(axis=0) > 0).mean() > 0.7  # the chips are told apart: equal constants would not be a finding


def test_a_chip_has_the_same_embedding_in_any_batch(run: Run) -> None:
    chips = portraits()
    alone = np.concatenate([run(chips=chip[np.newaxis])[0] for chip in chips])
    assert np.abs(run(chips=chips)[0] - alone).max() < 1e-4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:1000], "ends at byte 1000"),
        (lambda data: data + b"\0\0\0\0", "only the axes 1 and 2 behind byte"),
        (lambda data: data[:600_000] + b"\0\0" + data[600_000:], "expected 6 and 0"),
        (lambda data: data[:-112] + b"\xff\x7f" * 50 + data[-12:], "no finite numbers"),
    ],
)
def test_what_is_not_the_network_is_refused(data: bytes, damage: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(PackDamaged, match=message), np.errstate(all="ignore"):
        convert_faceres(damage(data))


def _by_the_graph(description: dict[str, Any], weights: bytes, pictures: Numbers) -> Numbers:
    """What the graph gives for `pictures` (N, H, W, B·G·R less the mean), node by node as it is described."""
    values: dict[str, NDArray[Any]] = {"input_1": pictures}
    place = 0
    for tensor in description["weightsManifest"][0]["weights"]:
        kind = np.dtype("<i4" if tensor["dtype"] == "int32" else "<f2")
        count = int(np.prod(tensor["shape"]))
        stored = np.frombuffer(weights, kind, count, place)
        values[tensor["name"]] = stored.reshape(tensor["shape"]).astype(np.int32 if kind == "<i4" else np.float32)
        place += stored.nbytes
    assert place == len(weights)
    for node in description["modelTopology"]["node"]:
        if node["name"] not in values and node["name"].startswith(("conv", "global")):
            inputs = [values[name] for name in node["input"]]
            values[node["name"]] = _OPERATORS[node["op"]](node.get("attr", {}), *inputs)
    return values["global_pooling/Mean"]


def _windows(attributes: dict[str, Any], pictures: Numbers, size: int) -> Numbers:
    """The windows (N, H', W', size, size, C) that a convolution of padding SAME looks at."""
    assert attributes["padding"]["s"] == "U0FNRQ=="  # base64 of SAME
    stride = int(attributes["strides"]["list"]["i"][1])
    missing = max((-(-pictures.shape[1] // stride) - 1) * stride + size - pictures.shape[1], 0)
    before, after = missing // 2, missing - missing // 2
    padded = np.pad(pictures, [(0, 0), (before, after), (before, after), (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return views[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def _convolved(attributes: dict[str, Any], pictures: Numbers, filters: Numbers) -> Numbers:
    return np.einsum("nhwabc,abco->nhwo", _windows(attributes, pictures, len(filters)), filters, optimize=True)


def _convolved_by_channel(attributes: dict[str, Any], pictures: Numbers, filters: Numbers) -> Numbers:
    return np.einsum("nhwabc,abc->nhwc", _windows(attributes, pictures, len(filters)), filters[..., 0], optimize=True)


_OPERATORS: dict[str, Callable[..., Numbers]] = {
    "Conv2D": _convolved,
    "DepthwiseConv2dNative": _convolved_by_channel,
    "Add": lambda _, a, b: a + b,
    "Mul": lambda _, a, b: a * b,
    "Relu": lambda _, a: np.maximum(a, 0),
    "Minimum": lambda _, a, b: np.minimum(a, b),
    "Maximum": lambda _, a, b: np.maximum(a, b),
    "Mean": lambda _, a, axes: a.mean(axis=tuple(axes)),
}
