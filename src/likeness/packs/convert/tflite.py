"""TFLite → ONNX for the operators of the face mesh and of the expression network, and no others.

The file is a FlatBuffer with the identifier TFL3; tables, field numbers and codes after TensorFlow's schema
(tensorflow/compiler/mlir/lite/schema/schema.fbs). TFLite keeps pictures as N×H×W×C, ONNX as N×C×H×W: here every picture is N×C×H×W
from the input on, weights are turned once, and no transposition is left in the graph. The batch dimension, fixed to 1 in the file, is
free. Weights stored as float16 or int8 become float32 when converted: float16 exactly, int8 by scale · (q − zero point), which is what the
runtime computes with.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.flatbuffer import Buffer, Table
from likeness.packs.convert.graph import GraphWriter, Shape

_TYPES = {0: "<f4", 1: "<f2", 2: "<i4", 9: "i1"}
"""TensorType of the schema, the kinds that these networks use."""

_OPERATORS = {
    0: "ADD", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 17: "MAX_POOL_2D", 25: "SOFTMAX", 34: "PAD", 40: "MEAN", 54: "PRELU",
}  # fmt: skip
"""BuiltinOperator of the schema."""

_ACTIVATIONS = {0: None, 1: "Relu"}
"""ActivationFunctionType of the schema."""

_MAX_SIDE = 1 << 16


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file: its shape (pictures N×H×W×C) and, when it is a constant, its values as float32 or int32."""

    name: str
    shape: tuple[int, ...]
    values: NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """One operator: its name in the schema, the indices of its tensors, and its options table."""

    name: str
    inputs: list[int]
    outputs: list[int]
    options: Table | None

    def option(self, number: int, code: str, default: int = 0) -> int:
        """An integer option, its default when there is no options table."""
        return default if self.options is None else self.options.integer(number, code, f"an option of {self.name}", default)


@dataclass(frozen=True)
class Model:
    """The first subgraph of a TFLite file."""

    file: str
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]

    def damaged(self, expected: str) -> PackDamaged:
        """The error for a network that is not built as expected."""
        return PackDamaged(f"{self.file}: expected {expected}; the file is damaged or another network, fetch it again")


def read_model(data: bytes, file: str) -> Model:
    """The network in the bytes of a TFLite file; `file` names it in errors.

    Raises PackDamaged when the bytes are not a TFLite file or use operators that are not known here.
    """
    root = Buffer(data, file).root(b"TFL3")
    codes = [_operator_name(code, file) for code in root.tables(1, "the operator codes")]
    subgraphs = root.tables(2, "the subgraphs")
    buffers = root.tables(4, "the buffers")
    if len(subgraphs) != 1:
        raise PackDamaged(f"{file}: expected one subgraph, found {len(subgraphs)}; fetch the file again")
    graph = subgraphs[0]
    tensors = [_read_tensor(table, buffers, file) for table in graph.tables(0, "the tensors")]
    operators = [_read_operator(table, codes, len(tensors), file) for table in graph.tables(3, "the operators")]
    inputs = _indices(graph, 1, "the network's inputs", len(tensors), file)
    outputs = _indices(graph, 2, "the network's outputs", len(tensors), file)
    return Model(file, tensors, operators, inputs, outputs)


def _operator_name(table: Table, file: str) -> str:
    # The byte field is the older one and holds 127 when the code needs the newer field.
    code = max(table.integer(0, "b", "an operator code"), table.integer(3, "i", "an operator code"))
    if code not in _OPERATORS:
        raise PackDamaged(f"{file}: expected one of the operators {', '.join(_OPERATORS.values())}, found code {code}")
    return _OPERATORS[code]


def _indices(table: Table, number: int, expected: str, count: int, file: str) -> list[int]:
    indices = [int(index) for index in table.vector(number, "<i4", expected)]
    if any(not 0 <= index < count for index in indices):
        raise PackDamaged(f"{file}: expected {expected} among {count} tensors, found {indices}; fetch the file again")
    return indices


def _read_operator(table: Table, codes: list[str], count: int, file: str) -> Operator:
    code = table.integer(0, "I", "an operator")
    if code >= len(codes):
        raise PackDamaged(f"{file}: expected an operator code under {len(codes)}, found {code}; fetch the file again")
    inputs = _indices(table, 1, "an operator's inputs", count, file)
    outputs = _indices(table, 2, "an operator's outputs", count, file)
    if not inputs or len(outputs) != 1:
        raise PackDamaged(f"{file}: expected {codes[code]} to have inputs and one output; fetch the file again")
    return Operator(codes[code], inputs, outputs, table.table(4, "an operator's options"))


def _read_tensor(table: Table, buffers: list[Table], file: str) -> Tensor:
    name = table.text(3, "a tensor's name")
    shape = tuple(int(side) for side in table.vector(0, "<i4", f"the shape of {name}"))
    if any(not 1 <= side <= _MAX_SIDE for side in shape):
        raise PackDamaged(f"{file}: expected sides of 1 to {_MAX_SIDE} for {name}, found {shape}; fetch the file again")
    kind = table.integer(1, "b", f"the type of {name}")
    number = table.integer(2, "I", f"the buffer of {name}")
    if kind not in _TYPES or number >= len(buffers):
        raise PackDamaged(f"{file}: expected a known type and a buffer for {name}, found type {kind}, buffer {number}")
    raw = buffers[number].vector(0, "u1", f"the values of {name}").tobytes()
    if not raw:
        return Tensor(name, shape, None)
    dtype = np.dtype(_TYPES[kind])
    if len(raw) != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise PackDamaged(f"{file}: expected {shape} values for {name}, found {len(raw)} bytes; fetch the file again")
    return Tensor(name, shape, _dequantised(table, np.frombuffer(raw, dtype).reshape(shape), name, file))


def _dequantised(table: Table, values: NDArray[Any], name: str, file: str) -> NDArray[Any]:
    """Constants as the runtime computes with them: int8 by their scales (one, or one a slice), float16 as float32."""
    if values.dtype == np.int32:
        return values
    quantisation = table.table(4, f"the quantisation of {name}")
    if values.dtype != np.int8 or quantisation is None:
        return values.astype(np.float32)
    scales = quantisation.vector(2, "<f4", f"the scales of {name}").astype(np.float32)
    zeros = quantisation.vector(3, "<i8", f"the zero points of {name}").astype(np.float32)
    axis = quantisation.integer(6, "i", f"the quantised dimension of {name}")
    if not 0 <= axis < values.ndim or scales.size not in (1, values.shape[axis]) or zeros.size != scales.size:
        raise PackDamaged(f"{file}: expected a scale for each slice of {name}, found {scales.size}; fetch the file again")
    around = [1] * values.ndim
    around[axis] = scales.size
    return (values.astype(np.float32) - zeros.reshape(around)) * scales.reshape(around)


def convert_face_mesh(data: bytes) -> bytes:
    """MediaPipe's `face_landmark.tflite` as an ONNX network.

    Input `face`: N×3×192×192 float32, RGB, 0–1. Outputs: `landmarks` N×1404 float32, 468 points (x, y, z) in pixels of the input;
    `presence` N×1 float32, the logit that there is a face. Equal to Google's runtime to 1e-3 (tests/packs/convert/test_tflite.py).

    Raises PackDamaged when `data` is not that network.
    """
    model = read_model(data, "face mesh network (face_landmark.tflite)")
    return _Converter(model, "face_landmark").write("face", ["landmarks", "presence"], (192, 192, 3), [1404, 1])


class _Converter:
    """Translates operator after operator."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._graph = GraphWriter(name)
        self._values: dict[int, str] = {}  # tensor → its name in the graph, when it is computed
        self._constants = {i: t.values for i, t in enumerate(model.tensors) if t.values is not None}

    def write(self, source: str, results: list[str], shape: tuple[int, ...], widths: list[int]) -> bytes:
        """The network with one picture as input and vectors as outputs, named as given; checks their shapes."""
        model = self._model
        if [model.tensors[i].shape for i in model.inputs] != [(1, *shape)]:
            raise model.damaged(f"one input of {shape}")
        found = [int(np.prod(model.tensors[i].shape)) for i in model.outputs]
        if found != widths:
            raise model.damaged(f"outputs of {widths} values, found {found}")
        self._values[model.inputs[0]] = source
        for operator in model.operators:
            self._translate(operator)
        for index, result in zip(model.outputs, results, strict=True):
            self._graph.node("Flatten", [self._value(index)], result, axis=1)
        height, width, channels = shape
        outputs: dict[str, Shape] = {result: ["N", size] for result, size in zip(results, widths, strict=True)}
        return self._graph.serialise({source: ["N", channels, height, width]}, outputs)

    def _translate(self, operator: Operator) -> None:
        if operator.name == "DEQUANTIZE":
            self._constants[operator.outputs[0]] = self._constant(operator, 0)
            return
        translate = {
            "ADD": self._add,
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._convolution,
            "MAX_POOL_2D": self._max_pool,
            "MEAN": self._mean,
            "PAD": self._pad,
            "PRELU": self._prelu,
            "SOFTMAX": self._softmax,
        }[operator.name]
        translate(operator)

    def _value(self, index: int) -> str:
        if index not in self._values:
            raise self._model.damaged(f"{self._model.tensors[index].name!r} to be computed before it is used")
        return self._values[index]

    def _constant(self, operator: Operator, number: int) -> NDArray[Any]:
        index = operator.inputs[number] if number < len(operator.inputs) else -1
        if index not in self._constants:
            raise self._model.damaged(f"constant weights as input {number} of {operator.name}")
        return self._constants[index]

    def _shape(self, index: int) -> tuple[int, int, int, int]:
        """Height, width and channels of a picture, after its batch size."""
        shape = self._model.tensors[index].shape
        if len(shape) != 4:
            raise self._model.damaged(f"four dimensions for {self._model.tensors[index].name!r}, found {shape}")
        return shape

    def _finish(self, operator: Operator, op: str, inputs: list[str], activation: int = 0, **attributes: Any) -> None:
        """Writes the node, and the activation that TFLite keeps inside the operator."""
        if activation not in _ACTIVATIONS:
            raise self._model.damaged(f"an activation of {list(_ACTIVATIONS)} after {operator.name}, found {activation}")
        index = operator.outputs[0]
        value = self._graph.node(op, inputs, f"t{index}", **attributes)
        if following := _ACTIVATIONS[activation]:
            value = self._graph.node(following, [value], f"t{index}_active")
        self._values[index] = value

    def _add(self, operator: Operator) -> None:
        self._finish(operator, "Add", [self._value(i) for i in operator.inputs[:2]], operator.option(0, "b"))

    def _convolution(self, operator: Operator) -> None:
        depthwise = operator.name == "DEPTHWISE_CONV_2D"
        filters, biases = self._constant(operator, 1), self._constant(operator, 2)
        _, _, _, channels = self._shape(operator.inputs[0])
        if filters.ndim != 4 or biases.shape != (filters.shape[3 if depthwise else 0],):
            raise self._model.damaged(f"filters of four dimensions with their biases, found {filters.shape}")
        if filters.shape[3] != channels:
            raise self._model.damaged(f"filters for {channels} channels, found {filters.shape}")
        # Stored as outputs×rows×columns×inputs, depthwise as 1×rows×columns×channels.
        weights = filters.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        name, rows, columns = f"t{operator.outputs[0]}", filters.shape[1], filters.shape[2]
        inputs = [self._value(operator.inputs[0])]
        inputs += [self._graph.constant(f"{name}_w", weights), self._graph.constant(f"{name}_b", biases)]
        if any(operator.option(4 + depthwise + axis, "i", 1) != 1 for axis in (0, 1)):
            raise self._model.damaged("convolutions without dilation")
        activation = operator.option(4 if depthwise else 3, "b")
        window = self._window(operator, rows, columns)
        self._finish(operator, "Conv", inputs, activation, group=channels if depthwise else 1, **window)

    def _max_pool(self, operator: Operator) -> None:
        columns, rows = operator.option(3, "i"), operator.option(4, "i")
        window = self._window(operator, rows, columns)
        self._finish(operator, "MaxPool", [self._value(operator.inputs[0])], operator.option(5, "b"), **window)

    def _window(self, operator: Operator, rows: int, columns: int) -> dict[str, list[int]]:
        """Kernel, strides and padding; SAME padding as TensorFlow spreads it, the odd pixel at the end (options 0, 1, 2)."""
        same = operator.option(0, "b") == 0
        strides = [operator.option(2, "i"), operator.option(1, "i")]
        sides = self._shape(operator.inputs[0])[1:3]
        expected = self._shape(operator.outputs[0])[1:3]
        before, after = [], []
        for side, kernel, stride, wanted in zip(sides, (rows, columns), strides, expected, strict=True):
            if not (1 <= stride <= kernel or stride == 2) or not 1 <= kernel <= _MAX_SIDE:
                raise self._model.damaged(f"a window and a stride of at least 1 for {operator.name}")
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0) if same else 0
            if (side + total - kernel) // stride + 1 != wanted:
                raise self._model.damaged(f"{operator.name} to give {wanted} of {side} pixels")
            before.append(total // 2)
            after.append(total - total // 2)
        return {"kernel_shape": [rows, columns], "strides": strides, "pads": before + after}

    def _mean(self, operator: Operator) -> None:
        axes = sorted(int(axis) for axis in self._constant(operator, 1).reshape(-1))
        if axes != [1, 2]:
            raise self._model.damaged(f"the mean over rows and columns, found axes {axes}")
        pooled = self._graph.node("GlobalAveragePool", [self._value(operator.inputs[0])], f"t{operator.outputs[0]}_mean")
        self._finish(operator, "Flatten", [pooled], axis=1)

    def _pad(self, operator: Operator) -> None:
        amounts = self._constant(operator, 1)
        if amounts.shape != (4, 2) or amounts.min() < 0 or amounts.max() > _MAX_SIDE:
            raise self._model.damaged("padding at the beginning and end of four dimensions")
        turned = amounts[[0, 3, 1, 2]].T.reshape(-1).astype(np.int64)
        ends = self._graph.constant(f"t{operator.outputs[0]}_ends", turned)
        self._finish(operator, "Pad", [self._value(operator.inputs[0]), ends])

    def _prelu(self, operator: Operator) -> None:
        slopes = self._constant(operator, 1)
        _, _, _, channels = self._shape(operator.inputs[0])
        if slopes.size != channels:
            raise self._model.damaged(f"{channels} slopes for PRELU, found {slopes.shape}")
        slope = self._graph.constant(f"t{operator.outputs[0]}_slope", slopes.reshape(channels, 1, 1))
        self._finish(operator, "PRelu", [self._value(operator.inputs[0]), slope])

    def _softmax(self, operator: Operator) -> None:
        self._finish(operator, "Softmax", [self._value(operator.inputs[0])], axis=-1)


def convert_expression(data: bytes) -> bytes:
    """fer's `emotion_model_quantized.tflite` as an ONNX network.

    Input `face`: N×1×64×64 float32, grey, −1–1. Output `probabilities`: N×7 float32, summing to 1, in the order angry, disgust, fear,
    happy, sad, surprise, neutral.

    Raises PackDamaged when `data` is not that network.
    """
    model = read_model(data, "expression network (emotion_model_quantized.tflite)")
    return _Converter(model, "expression").write("face", ["probabilities"], (64, 64, 1), [7])
