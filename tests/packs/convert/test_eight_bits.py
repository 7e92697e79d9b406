"""Networks in eight bits: what rounding may change and what it may not."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
import skimage.transform
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.centerface import convert_centerface
from likeness.packs.convert.centerface_8bit import convert_centerface_8bit
from likeness.packs.convert.centerface_ranges import RANGES
from likeness.packs.convert.eight_bits import in_eight_bits
from likeness.packs.convert.graph import GraphWriter

Run = Callable[..., list[NDArray[np.float32]]]
CENTERFACE_SHA256 = "6ec4485685539ab0c7c2b9e52296bf143237c038f19dae2a385ca3dc7c7f6746"
LIMITS = {"image": (0.0, 255.0), "bent": (0.0, 700.0), "sum": (-700.0, 1400.0)}


def small_network(seed: int = 0) -> bytes:
    """A convolution with a ReLU behind it, added to a second convolution, and a third that has no range."""
    chance = np.random.default_rng(seed)
    graph = GraphWriter("small", "small network")
    weights = [graph.constant(f"w{n}", chance.normal(0, 0.3, (4, 3 if n < 2 else 4, 3, 3))) for n in range(3)]
    biases = [graph.constant(f"b{n}", chance.normal(0, 20.0, 4)) for n in range(3)]
    graph.node("Conv", ["image", weights[0], biases[0]], "plain", pads=[1, 1, 1, 1])
    graph.node("Relu", ["plain"], "bent")
    graph.node("Conv", ["image", weights[1], biases[1]], "other", pads=[1, 1, 1, 1])
    graph.node("Add", ["bent", "other"], "sum")
    graph.node("Conv", ["sum", weights[2], biases[2]], "last", pads=[1, 1, 1, 1])
    return graph.serialise({"image": [1, 3, 16, 16]}, {"last": [1, 4, 16, 16]})


def test_values_within_the_ranges_move_by_a_few_steps(session: Callable[[bytes], Run]) -> None:
    network = small_network()
    picture = np.random.default_rng(1).integers(0, 256, (1, 3, 16, 16)).astype(np.float32)
    limits = LIMITS | {"other": (-700.0, 700.0)}
    exact = session(network)(image=picture)[0]
    rounded = session(in_eight_bits(network, limits, "small network"))(image=picture)[0]
    step = 1400 / 255  # of "sum", which the last convolution adds up 36 times with weights of 0.3
    assert 0 < np.abs(rounded - exact).max() < 36 * 0.3 * step


def test_what_has_a_range_is_done_in_integers_and_the_rest_is_not() -> None:
    graph = onnx.load_model_from_string(in_eight_bits(small_network(), LIMITS, "small network")).graph
    inputs = {node.output[0]: list(node.input) for node in graph.node}
    rounded = [name for name in ("plain", "other", "sum", "last") if inputs[name][0].endswith("_rounded")]
    weights = [name for name in ("plain", "other", "last") if inputs[name][1].endswith("_float")]
    # "other" and "last" read rounded values, but have no range themselves, so their weights stay as they are.
    assert (rounded, weights) == (["plain", "other", "sum", "last"], ["plain"])


def of_bytes(seed: int = 0) -> bytes:
    """A convolution of a picture that is given in bytes."""
    chance = np.random.default_rng(seed)
    graph = GraphWriter("small", "small network")
    numbers = graph.pictures("image")
    weights = graph.constant("w", chance.normal(0, 0.3, (4, 3, 3, 3)))
    graph.node("Conv", [numbers, weights, graph.constant("b", chance.normal(0, 20.0, 4))], "last")
    return graph.serialise({"image": [1, 16, 16, 3]}, {"last": [1, 4, 14, 14]})


def test_bytes_go_in_as_they_are_and_lose_nothing(session: Callable[[bytes], Run]) -> None:
    network, picture = of_bytes(), np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    limits = {"image_numbers": (0.0, 255.0), "last": (-700.0, 700.0)}
    written = in_eight_bits(network, limits, "small network")
    graph = onnx.load_model_from_string(written).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [node.op_type for node in graph.node][:2] == ["Transpose", "DequantizeLinear"]
    exact, rounded = (session(each)(image=picture)[0] for each in (network, written))
    assert 0 < np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()


def test_the_biases_make_up_for_what_rounded_weights_do_to_the_usual_colour(session: Callable[[bytes], Run]) -> None:
    colour = (120.0, 117.0, 104.0)
    picture = np.tile(np.array(colour, np.uint8), (1, 16, 16, 1))
    limits = {"image_numbers": (0.0, 255.0), "last": (-200.0, 200.0)}
    networks = [of_bytes(seed) for seed in range(8)]
    exact = [session(network)(image=picture)[0] for network in networks]
    off = []
    for means in (None, {"image_numbers": colour}):
        written = [in_eight_bits(network, limits, "small network", means) for network in networks]
        answers = [session(each)(image=picture)[0] for each in written]
        off.append(float(np.mean([np.abs(a - b).mean() for a, b in zip(answers, exact, strict=True)])))
    step = 400 / 255
    assert off[1] < min(off[0], 0.5 * step)  # half a step is what rounding the answer itself may cost


@given(st.integers(0, 2**32 - 1))
def test_filters_of_any_weights_come_within_half_a_step(seed: int) -> None:
    network = small_network(seed)
    written = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_model_from_string(in_eight_bits(network, LIMITS, "small network")).graph.initializer
    }
    exact = next(t for t in onnx.load_model_from_string(network).graph.initializer if t.name == "w0")
    again = written["w0_8"] * written["w0_scale"].reshape(-1, 1, 1, 1)
    assert (np.abs(again - onnx.numpy_helper.to_array(exact)) <= written["w0_scale"].max() * 0.5001).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, -1.0]))
def test_no_two_products_overflow_sixteen_bits(seed: int, lean: float) -> None:
    """What x86 without VNNI adds up in 16 bits: two unsigned bytes, each times a weight, whichever two it takes."""
    graph = GraphWriter("small", "small network")
    weights = graph.constant("w", np.random.default_rng(seed).normal(lean, 1.0, (4, 3, 3, 3)))
    graph.node("Conv", ["image", weights], "last")
    network = graph.serialise({"image": [1, 3, 16, 16]}, {"last": [1, 4, 14, 14]})
    limits = {"image": (0.0, 255.0), "last": (-700.0, 700.0)}
    written = onnx.load_model_from_string(in_eight_bits(network, limits, "small network")).graph.initializer
    steps = next(onnx.numpy_helper.to_array(t) for t in written if t.name == "w_8").astype(int).reshape(4, -1)
    ordered = np.sort(steps, axis=1)
    assert (255 * ordered[:, -2:].sum(axis=1) < 2**15).all()
    assert (255 * ordered[:, :2].sum(axis=1) >= -(2**15)).all()
    assert np.abs(steps).max() >= 63  # and no bits are given away


def test_a_range_for_a_value_that_is_not_there_is_refused() -> None:
    with pytest.raises(PackDamaged, match=r"small network: expected the values nowhere"):
        in_eight_bits(small_network(), LIMITS | {"nowhere": (0.0, 1.0)}, "small network")


def test_centerface_finds_the_same_face(original: Callable[[str], Path], session: Callable[[bytes], Run]) -> None:
    data = original("centerface.onnx").read_bytes()
    photo = skimage.data.astronaut()[np.newaxis]
    exact, rounded = (session(convert(data))(image=photo) for convert in (convert_centerface, convert_centerface_8bit))
    place = np.unravel_index(int(exact[0][0, 0].argmax()), exact[0].shape[2:])
    assert rounded[0][0, 0][place] == pytest.approx(exact[0][0, 0][place], abs=0.03)
    fives = [answer[3][0, :, place[0], place[1]].reshape(5, 2) for answer in (exact, rounded)]
    eyes = np.linalg.norm(fives[0][0] - fives[0][1])
    assert np.linalg.norm(fives[0] - fives[1], axis=1).mean() < 0.05 * eyes


def test_centerface_comes_out_the_same_everywhere(original: Callable[[str], Path]) -> None:
    converted = convert_centerface_8bit(original("centerface.onnx").read_bytes())
    assert hashlib.sha256(converted).hexdigest() == CENTERFACE_SHA256
    assert weights_in_bytes(converted) == 48
    assert len(RANGES) == 59


def weights_in_bytes(network: bytes) -> int:
    """How many convolutions have their weights in signed bytes."""
    weights = onnx.load_model_from_string(network).graph.initializer
    return sum(t.data_type == onnx.TensorProto.INT8 and t.name.endswith("_w_8") for t in weights)
