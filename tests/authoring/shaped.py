"""Networks in the shapes of families that cannot be had: each undoes a known preprocessing and wraps a real network, so
that only the right choice gives what that network gives."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)


class Wrapped:
    """A graph around a real network that takes bytes (N, H, W, 3) RGB: nodes before and after it."""

    def __init__(self, file: Path, shape: Sequence[int | str]) -> None:
        self._inner = onnx.load(str(file))
        self._before: list[onnx.NodeProto] = []
        self._after: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._shape = shape
        self._count = 0
        self.outputs = [value.name for value in self._inner.graph.output]

    def undo(self, colour: str, mean: float, scale: float) -> None:
        """From (x - mean) / scale in the order `colour`, (N, 3, H, W), to bytes."""
        value = self._node(self._before, "Mul", ["x", self.constant(np.float32(scale))])
        value = self._node(self._before, "Add", [value, self.constant(np.float32(mean))])
        value = self._node(self._before, "Clip", [value, self.constant(np.float32(0)), self.constant(np.float32(255))])
        if colour == "bgr":
            value = self._node(self._before, "Gather", [value, self.constant(np.array([2, 1, 0]))], axis=1)
        value = self._node(self._before, "Round", [value])
        value = self._node(self._before, "Transpose", [value], perm=[0, 2, 3, 1])
        name = self._inner.graph.input[0].name
        self._before.append(helper.make_node("Cast", [value], [name], to=TensorProto.UINT8))

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        self._count += 1
        name = f"shaped_constant_{self._count}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        """A node after the network; its output's name."""
        return self._node(self._after, kind, inputs, **attributes)

    def _node(self, nodes: list[onnx.NodeProto], kind: str, inputs: Sequence[str], **attributes: object) -> str:
        self._count += 1
        name = f"shaped_{self._count}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def save(self, path: Path, outputs: Sequence[str]) -> Path:
        """Writes the graph with these outputs."""
        inner = self._inner.graph
        kinds = {value.name: value for value in inner.output}
        infos = [kinds.get(name, helper.make_tensor_value_info(name, TensorProto.FLOAT, None)) for name in outputs]
        graph = helper.make_graph(
            [*self._before, *inner.node, *self._after],
            "shaped",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            infos,
            [*inner.initializer, *self._constants],
        )
        model = helper.make_model(graph, opset_imports=self._inner.opset_import, ir_version=self._inner.ir_version)
        onnx.save(model, str(path))
        return path


def embedder(real: Path, path: Path, *, colour: str, mean: float, scale: float, pictures: int | str = "N") -> Path:
    """An embedder of 112 px chips that expects this preprocessing, for a fixed number of `pictures` or for any."""
    shaped = Wrapped(real, [pictures, 3, 112, 112])
    shaped.undo(colour, mean, scale)
    return shaped.save(path, shaped.outputs[:1])


def scrfd(yunet: Path, path: Path, *, mirrored: bool = False) -> Path:
    """A detector as SCRFD: RGB less 127.5 over 128, nine outputs, two anchors a cell of which the second is empty.

    `mirrored`: the left and the right points are exchanged.
    """
    shaped = Wrapped(yunet, [1, 3, "H", "W"])
    shaped.undo("rgb", 127.5, 128.0)
    order = np.array([2, 3, 0, 1, 4, 5, 8, 9, 6, 7]) if mirrored else np.arange(10)
    scores, boxes, points = [], [], []
    for place in range(3):
        face, thing, box, marks = (shaped.outputs[place + 3 * kind] for kind in range(4))
        score = shaped.node("Sqrt", [shaped.node("Mul", [face, thing])])
        centre = shaped.node("Gather", [box, shaped.constant(np.array([0, 1]))], axis=2)
        sides = shaped.node("Exp", [shaped.node("Gather", [box, shaped.constant(np.array([2, 3]))], axis=2)])
        halves = shaped.node("Mul", [sides, shaped.constant(np.float32(0.5))])
        reach = [shaped.node("Sub", [halves, centre]), shaped.node("Add", [halves, centre])]
        marks = shaped.node("Gather", [marks, shaped.constant(order)], axis=2)
        scores.append(_twice(shaped, score, 1, empty=True))
        boxes.append(_twice(shaped, shaped.node("Concat", reach, axis=2), 4))
        points.append(_twice(shaped, marks, 10))
    return shaped.save(path, [*scores, *boxes, *points])


def of_side(detector: Path, path: Path, side_px: int) -> Path:
    """The detector for pictures of this side only."""
    model = onnx.load(str(detector))
    for place in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = side_px
    del model.graph.value_info[:]
    onnx.save(model, str(path))
    return path


def _twice(shaped: Wrapped, value: str, numbers: int, *, empty: bool = False) -> str:
    """A cell's numbers (1, C, n) for both of its anchors: (2 C, n)."""
    other = shaped.node("Mul", [value, shaped.constant(np.float32(0))]) if empty else value
    both = shaped.node("Concat", [value, other], axis=2)
    return shaped.node("Reshape", [both, shaped.constant(np.array([-1, numbers]))])


def centerface(yunet: Path, path: Path, side_px: int = 320) -> Path:
    """A detector as CenterFace: RGB 0 to 255, maps at a fourth of the size, each cell that of the surest
    stride; of a fixed size, as the maps need the places of their cells.
    """
    shaped = Wrapped(yunet, [1, 3, side_px, side_px])
    shaped.undo("rgb", 0.0, 1.0)
    cells = side_px // 4
    heat, centre, sides, marks = _at_quarter(shaped, 0, side_px)
    for place in (1, 2):
        other = _at_quarter(shaped, place, side_px)
        surer = shaped.node("Greater", [heat, other[0]])
        heat, centre, sides, marks = (
            shaped.node("Where", [surer, *both]) for both in zip((heat, centre, sides, marks), other, strict=True)
        )
    down, across = np.mgrid[:cells, :cells].astype(np.float32)
    places = np.stack([down, across])[np.newaxis]  # y, x
    fourth = shaped.constant(np.float32(0.25))
    offset = shaped.node("Sub", [shaped.node("Mul", [centre, fourth]), shaped.constant(places + np.float32(0.5))])
    logs = shaped.node("Log", [shaped.node("Mul", [sides, fourth])])
    corner = shaped.node("Sub", [centre, shaped.node("Mul", [sides, shaped.constant(np.float32(0.5))])])
    corners, spans = (shaped.node("Concat", [each] * 5, axis=1) for each in (corner, sides))
    fractions = shaped.node("Div", [shaped.node("Sub", [marks, corners]), spans])
    return shaped.save(path, [heat, logs, offset, fractions])


def _at_quarter(shaped: Wrapped, place: int, side_px: int) -> tuple[str, str, str, str]:
    """Of one stride: score (1, 1), centre, sides (1, 2) and points (1, 10) as y, x px, at a fourth of the size."""
    stride = STRIDES[place]
    rows = side_px // stride
    face, thing, box, marks = (shaped.outputs[place + 3 * kind] for kind in range(4))
    score = shaped.node("Sqrt", [shaped.node("Mul", [face, thing])])
    down, across = np.mgrid[:rows, :rows].reshape(2, -1).astype(np.float32)
    origin = np.stack([down, across], axis=1)[np.newaxis]
    stretch = shaped.constant(np.float32(stride))

    def in_px(value: str, numbers: Sequence[int], origins: NDArray[np.float32]) -> str:
        ordered = shaped.node("Gather", [value, shaped.constant(np.array(numbers))], axis=2)
        return shaped.node("Mul", [shaped.node("Add", [ordered, shaped.constant(origins)]), stretch])

    centre = in_px(box, [1, 0], origin)
    sides = shaped.node("Exp", [shaped.node("Gather", [box, shaped.constant(np.array([3, 2]))], axis=2)])
    sides = shaped.node("Mul", [sides, stretch])
    points = in_px(marks, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8], np.tile(origin, (1, 1, 5)))
    spread = []
    for value, numbers in ((score, 1), (centre, 2), (sides, 2), (points, 10)):
        plane = shaped.node("Transpose", [value], perm=[0, 2, 1])
        plane = shaped.node("Reshape", [plane, shaped.constant(np.array([1, numbers, rows, rows]))])
        scales = shaped.constant(np.array([1, 1, stride // 4, stride // 4], np.float32))
        spread.append(
            shaped.node(
                "Resize",
                [plane, "", scales],
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        )
    return spread[0], spread[1], spread[2], spread[3]


def simple_embedder(path: Path, kind: str, side_px: int = 112) -> Path:
    """An embedder that is none: "constant" vectors, "nan", or "noise" that changes with every pixel."""
    constants = [
        numpy_helper.from_array(np.linspace(0.5, 1.5, 16, dtype=np.float32).reshape(1, 16), "weights"),
        numpy_helper.from_array(np.float32({"constant": 0.0, "nan": -1.0, "noise": 9e4}[kind]), "factor"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["means"]),
        helper.make_node("Mul", ["means", "weights"], ["weighed"]),
        helper.make_node("Mul", ["weighed", "factor"], ["stretched"]),
    ]
    constants.append(numpy_helper.from_array(np.array([-1, 1]), "column"))
    last = {"constant": "Exp", "nan": "Log", "noise": "Sin"}[kind]
    nodes.append(helper.make_node(last, ["stretched"], ["y"]))
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, side_px, side_px])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 16])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
