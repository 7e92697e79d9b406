"""Graphs of embedders as exporters leave them: used as they are, changed for a pack, or refused in words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from likeness.authoring.networks import read_embedder
from likeness.errors import PackInvalid
from likeness.vision.network import fed

SHAPE = ("N", 3, 16, 16)
NUMBERS = 3 * 16 * 16
FLAT = (helper.make_node("Reshape", ["x", "rows"], ["y"]),)
ONE_ROW = (helper.make_node("Reshape", ["x", "row"], ["y"]),)
OVER_THE_BATCH = (
    helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
    helper.make_node("Reshape", ["x", "rows"], ["flat"]),
    helper.make_node("Div", ["flat", "most"], ["y"]),
)
VECTOR_SECOND = (*FLAT, helper.make_node("ReduceMean", ["x"], ["quality"], axes=[1, 2, 3], keepdims=0))


def written(
    path: Path,
    nodes: Sequence[NodeProto] = FLAT,
    *,
    shape: Sequence[int | str] = SHAPE,
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("y",),
) -> Path:
    """A network whose output `y` has NUMBERS numbers for a picture."""
    shapes = {"y": ["N", NUMBERS], "quality": ["N"]}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, shapes[name]) for name in outputs],
        [
            numpy_helper.from_array(np.array([-1, NUMBERS]), "rows"),
            numpy_helper.from_array(np.array([1, -1]), "row"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize(("nodes", "a_run"), [(FLAT, "N"), (ONE_ROW, 1), (OVER_THE_BATCH, 1)])
def test_an_embedder_that_mixes_pictures_takes_one_a_run(
    tmp_path: Path, nodes: Sequence[NodeProto], a_run: int | str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "e.onnx", nodes)
    graph = read_embedder(file, tmp_path / "work")
    assert graph.network.input_shapes == [[a_run, 3, 16, 16]]
    assert (graph.whole() == file.read_bytes()) == (a_run == "N")
    drawn = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    pictures = fed(graph.pictures, drawn)
    [together] = graph.pictures(pictures)
    assert together.shape == (3, NUMBERS)
    for place in range(3):
        [alone] = graph.pictures(pictures[place : place + 1])
        np.testing.assert_array_equal(together[place], alone[0])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (SHAPE, TensorProto.FLOAT16, r"e.onnx takes float16; export it with an input of float32$"),
        (SHAPE, TensorProto.DOUBLE, r"e.onnx takes double; export"),
        (("N", 16, 16, 3), TensorProto.FLOAT, r"takes N×16×16×3; export it with an input of float32 \(pictures, 3"),
        (("N", "H", "W", 3), TensorProto.FLOAT, r"takes N×H×W×3; export it with an input of float32 \(pictures, 3"),
        (
            ("N", 3, "H", "W"),
            TensorProto.FLOAT,
            r"takes N×3×H×W, and does not run on 1×3×112×112: export it with its fixed size, as \(N, 3, S, S\)$",
        ),
    ],
)
def test_another_input_is_refused_in_words_and_without_onnx_runtime_s(
    tmp_path: Path, shape: Sequence[int | str], kind: int, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    one_of = (helper.make_node("Reshape", ["x", "odd"], ["y"]),) if shape[2:] == ("H", "W") else FLAT
    odd = helper.make_node("Constant", [], ["odd"], value=numpy_helper.from_array(np.array([-1, 128 * 128 * 3])))
    with pytest.raises(PackInvalid, match=message):
        read_embedder(written(tmp_path / "e.onnx", (odd, *one_of), shape=shape, kind=kind))
    assert capfd.readouterr().err == ""


def test_a_vector_that_is_not_the_first_output_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "e.onnx", VECTOR_SECOND, outputs=("quality", "y"))
    with pytest.raises(PackInvalid, match=r"another of its outputs, y \(1×768\), export it as the first$"):
        read_embedder(file)
