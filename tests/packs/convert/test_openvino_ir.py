"""The converter of OpenVINO IR, on graphs that the tests write, and on Intel's embedder laid out as IR."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from tests.packs.convert.ir_writer import Writer, small

from likeness.errors import PackDamaged
from likeness.packs.convert.openvino_ir import convert_openvino_ir

SHARED = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")).parent
RETAIL = SHARED / "models" / "face-reidentification-retail-0095.onnx"
IR_TYPES = {"Mul": "Multiply", "Add": "Add", "PRelu": "PReLU", "Sigmoid": "Sigmoid", "AveragePool": "AvgPool"}


def listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def as_ir(file: Path, *, half: bool) -> Writer:
    """The ONNX network of Intel's embedder as IR: filters of several groups have a dimension of their own there."""
    model, ir = onnx.load(file), Writer(half=half)
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    at = {model.graph.input[0].name: ir.layer("Parameter", element_type="f32", shape="1,3,128,128")}
    for node in model.graph.node:
        said = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        groups = said.get("group", 1)
        for name in node.input:
            if name in arrays:
                values = arrays[name]
                if groups > 1:
                    values = values.reshape(groups, -1, *values.shape[1:])
                at[name] = ir.constant(values)
        data: dict[str, str] = {}
        if "strides" in said:
            half_of = len(said["pads"]) // 2
            data = {"strides": listed(said["strides"])}
            data |= {"pads_begin": listed(said["pads"][:half_of]), "pads_end": listed(said["pads"][half_of:])}
        if node.op_type == "Conv":
            data |= {"dilations": listed(said["dilations"]), "auto_pad": "explicit"}
        if node.op_type == "AveragePool":
            data |= {"kernel": listed(said["kernel_shape"]), "exclude_pad": "true", "rounding_type": "floor"}
        kind = IR_TYPES.get(node.op_type) or ("GroupConvolution" if groups > 1 else "Convolution")
        at[node.output[0]] = ir.layer(kind, [at[name] for name in node.input], **data)
    ir.layer("Result", [at[model.graph.output[0].name]], dims=(1, 256, 1, 1))
    return ir


def run(network: bytes, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    output: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: pictures})[0]
    return output


@pytest.mark.parametrize("half", [False, True])
def test_intels_embedder_gives_the_vectors_of_its_onnx_file(half: bool) -> None:
    if not RETAIL.is_file():
        pytest.skip(f"no {RETAIL}")
    pictures = np.random.default_rng(1).integers(0, 256, (2, 3, 128, 128)).astype(np.float32)
    ir = as_ir(RETAIL, half=half)
    assert half or len(ir.weights) == 4_427_256  # the size of the published file
    np.testing.assert_allclose(run(ir.converted(), pictures), run(RETAIL.read_bytes(), pictures), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("half", [False, True])
def test_groups_and_slopes_by_channel_are_read_as_openvino_defines_them(half: bool) -> None:
    rng = np.random.default_rng(3)
    filters = rng.normal(size=(2, 3, 2, 3, 3)).astype(np.float16 if half else np.float32).astype(np.float32)
    picture = np.random.default_rng(4).normal(size=(2, 4, 8, 8)).astype(np.float32)
    padded = np.pad(picture, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    mixed = np.concatenate(
        [np.einsum("bcyxij,ocij->boyx", windows[:, 2 * g : 2 * g + 2], filters[g]) for g in range(2)], axis=1
    )
    slopes = np.linspace(-1, 1, 6)[:, np.newaxis, np.newaxis]
    expected = np.where(mixed < 0, mixed * slopes, mixed)
    np.testing.assert_allclose(run(small(half=half).converted(), picture), expected, rtol=2e-3, atol=2e-3)


def test_the_same_bytes_give_the_same_network() -> None:
    assert small().converted() == small().converted()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"GroupConvolution", b"LSTMSequence", "is a LSTMSequence, which is not among Parameter"),
        (b'version="10"', b'version="7"', "version 7 of <net>, not 10 or 11"),
        (b"<net", b'<!DOCTYPE x [<!ENTITY a "aaaa">]><net', "has a document type"),
        (b"</net>", b"", "ParseError"),
        (b'dilations="1,1"', b'dilations="1,1" auto_pad="same_upper"', "pads by same_upper"),
        (b'offset="0"', b'offset="4000000"', "at 4000000 of"),
        (b'offset="0"', b'offset="-4"', "at -4 of"),
        (b'shape="2,3,2,3,3"', b'shape="2,3,2,3,4"', r"\[2, 3, 2, 3, 4\] in 432 bytes"),
        (b'shape="2,3,2,3,3"', b'shape="2,3,2,3,99999999999999999999999"', "cannot be read"),
        (b'element_type="f32" shape="6"', b'element_type="i8" shape="6"', "'i8'"),
        (b'to-layer="2" to-port="1"', b'to-layer="2" to-port="7"', "KeyError"),
        (b'type="Result"', b'type="Sigmoid"', "1 inputs and 0 outputs"),
    ],
)
def test_what_is_no_known_ir_is_refused_in_words(old: bytes, new: bytes, reason: str) -> None:
    ir = small()
    assert old in ir.xml
    with pytest.raises(PackDamaged, match=reason):
        convert_openvino_ir(ir.xml.replace(old, new), ir.weights)


def test_constants_that_overlap_take_no_memory_without_a_limit() -> None:
    ir = small()
    again = b'<layer id="%d" type="Const"><data element_type="f32" offset="0" shape="108" size="432"/></layer>'
    xml = ir.xml.replace(b"</layers>", b"".join(again % each for each in range(100, 110)) + b"</layers>")
    with pytest.raises(PackDamaged, match="layer 100 is"):
        convert_openvino_ir(xml, ir.weights)


def test_files_beyond_any_known_network_are_refused_unread() -> None:
    with pytest.raises(PackDamaged, match="more than any known network"):
        convert_openvino_ir(b" " * (4 * 1024 * 1024 + 1), b"")


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(1, 30))
def test_damaged_files_are_damaged_packs(noise: bytes, place: int, length: int) -> None:
    ir = small()
    xml = ir.xml[:place] + noise + ir.xml[place + length :]
    with suppress(PackDamaged):
        convert_openvino_ir(xml, ir.weights)
