"""MobileFaceNet: the converted network against its TensorFlow.js graph, and invalid files."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skimage.data
import skimage.transform
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.mobilefacenet import convert_mobilefacenet

Run = Callable[..., list[NDArray[np.float32]]]
Numbers = NDArray[np.float32]


@pytest.fixture(scope="module")
def data(original: Callable[[str], Path]) -> bytes:
    return original("mobilefacenet.onnx").read_bytes()


@pytest.fixture(scope="module")
def graph(original: Callable[..., Path]) -> dict[str, Any]:
    """The description that lies beside the weights: the graph, and the order of its tensors."""
    sha256 = "d168b80e96f92ec75c31145fb6c041869e1f38ea41d5a8e046511f8114881e36"
    loaded: dict[str, Any] = json.loads(
        original("mobilefacenet.onnx", beside=("package/models/mobilefacenet.json", sha256)).read_text("utf-8")
    )
    return loaded


@pytest.fixture(scope="module")
def run(data: bytes, session: Callable[[bytes], Run]) -> Run:
    return session(convert_mobilefacenet(data))


def portraits() -> NDArray[np.uint8]:
    """Crops of the astronaut around her face, shifted and of several sizes, at 112×112."""
    photo, crops = skimage.data.astronaut(), []
    for side, top, left in ((150, 30, 160), (190, 10, 130), (120, 60, 175)):
        crop = skimage.transform.resize(photo[top : top + side, left : left + side], (112, 112), anti_aliasing=True)
        crops.append((crop * 255).astype(np.uint8))
    return np.array(crops)


def test_equals_the_graph_with_its_slopes_set_right(data: bytes, graph: dict[str, Any], run: Run) -> None:
    chips = portraits()
    found = run(chips=chips)[0]
    expected = _by_the_graph(graph, data, (chips.astype(np.float32) - 127.5) / 128)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    assert (found.std(axis=0) > 0).all()  # the chips are told apart: equal constants would not be a finding


def test_nothing_is_mixed_twice_in_a_row(data: bytes) -> None:
    nodes = onnx.load_model_from_string(convert_mobilefacenet(data)).graph.node
    square = {node.name: list(each.ints) for node in nodes for each in node.attribute if each.name == "kernel_shape"}
    mixing = [node for node in nodes if square.get(node.name) == [1, 1]]
    assert len(mixing) == 32
    for node in mixing:
        readers = [each for each in nodes if node.output[0] in each.input]
        assert len(readers) != 1 or readers[0] not in mixing, node.name


def test_a_chip_has_the_same_embedding_in_any_batch(run: Run) -> None:
    chips = portraits()
    alone = np.concatenate([run(chips=chip[np.newaxis])[0] for chip in chips])
    assert np.abs(run(chips=chips)[0] - alone).max() < 1e-4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:1000], "ends at byte 1000"),
        (lambda data: data[:-400], "ends at byte 5171576"),
        (lambda data: data + b"\0\0\0\0", "expected 5171976 bytes, found 5171980"),
        (lambda data: data[:-112] + b"\xff\xff\xff\x7f" * 28, "values that are not finite"),
    ],
)
def test_files_other_than_the_network_are_refused(data: bytes, damage: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(PackDamaged, match=message), np.errstate(all="ignore"):
        convert_mobilefacenet(damage(data))


def _by_the_graph(description: dict[str, Any], weights: bytes, pictures: Numbers) -> Numbers:
    """What the graph gives for `pictures` (N, H, W, R·G·B from -1 to 1), node by node as it is described, except for
    what the converter says is wrong there: the slopes' sign, and the ReLU in every convolution by channel, which
    belongs in front of the first summand of the PReLU behind it.
    """
    values: dict[str, NDArray[Any]] = {"img_inputs": pictures}
    place = 0
    for tensor in description["weightsManifest"][0]["weights"]:
        kind = np.dtype("<i4" if tensor["dtype"] == "int32" else "<f4")
        stored = np.frombuffer(weights, kind, int(np.prod(tensor["shape"])), place)
        values[tensor["name"]] = -stored if tensor["name"].endswith("/mul") else stored.reshape(tensor["shape"])
        place += stored.nbytes
    assert place == len(weights)
    for node in description["modelTopology"]["node"]:
        if node["name"] not in values and node["name"].startswith("MobileFaceNet"):
            inputs = [values[name] for name in node["input"]]
            if node["op"] == "Add" and node["input"][1].endswith("/mul_1"):
                inputs[0] = np.maximum(inputs[0], 0)
            values[node["name"]] = _OPERATORS[node["op"]](node.get("attr", {}), *inputs)
    return values["MobileFaceNet/Logits/SpatialSqueeze"]


def _windows(attributes: dict[str, Any], pictures: Numbers, size: int) -> Numbers:
    """The windows (N, H', W', size, size, C) that a convolution looks at."""
    stride = int(attributes["strides"]["list"]["i"][1])
    if base64.b64decode(attributes["padding"]["s"]) == b"SAME":
        missing = max((-(-pictures.shape[1] // stride) - 1) * stride + size - pictures.shape[1], 0)
        before, after = missing // 2, missing - missing // 2
        pictures = np.pad(pictures, [(0, 0), (before, after), (before, after), (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(pictures, (size, size), axis=(1, 2))
    return views[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def _convolved(attributes: dict[str, Any], pictures: Numbers, filters: Numbers, biases: Numbers) -> Numbers:
    windows = _windows(attributes, pictures, len(filters))
    return np.einsum("nhwabc,abco->nhwo", windows, filters, optimize=True) + biases


def _convolved_by_channel(attributes: dict[str, Any], pictures: Numbers, filters: Numbers, biases: Numbers) -> Numbers:
    windows = _windows(attributes, pictures, len(filters))
    return np.einsum("nhwabc,abc->nhwc", windows, filters[..., 0], optimize=True) + biases


_OPERATORS: dict[str, Callable[..., Numbers]] = {
    "_FusedConv2D": _convolved,
    "FusedDepthwiseConv2dNative": _convolved_by_channel,
    "Add": lambda _, a, b: a + b,
    "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b,
    "Abs": lambda _, a: np.abs(a),
    "Relu": lambda _, a: np.maximum(a, 0),
    "Squeeze": lambda _, a: a[:, 0, 0],
}
