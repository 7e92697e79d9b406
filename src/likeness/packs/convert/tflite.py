"""TFLite → ONNX for the operators of the face mesh and of the expression network, and no others.

TFLite has pictures as N×H×W×C, ONNX as N×C×H×W: here weights are transposed once, and the graph transposes nothing but
the bytes that the face mesh takes. The batch dimension, fixed to 1 in the files, is free.

Convolutions with int8 filters are "hybrid" in Google's runtime: it also rounds their input to 8 bits, with steps from
the input's values. That saves time and is not part of the network, so it is omitted: rounding makes the output jump for
tiny changes of the input, and the runtime's kernels differ. Over 200 random inputs the runtime's probabilities change
by up to 0.013 when the input changes by 1e-6, and by 0.06 between its two sets of kernels; this network differs from
them by 0.03 and 0.045, and changes by 1e-6. With the same weights as float32, runtime and converted network agree to
1e-5 (tests/packs/convert/test_tflite.py checks all of this).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.packs.convert.graph import GraphWriter, Shape
from likeness.packs.convert.tflite_model import MAX_SIDE, Model, Operator, read_model

_ACTIVATIONS = {0: None, 1: "Relu"}
"""ActivationFunctionType of the schema."""


_PACKED_MESH = slice(2_495_952, 3_737_848)
"""Where `face_landmark.tflite` is in `face_mesh_solution_packed_assets.data`, according to its loader."""


def convert_packed_face_mesh(data: bytes) -> bytes:
    """The converted face mesh from MediaPipe's packed assets; PackDamaged if it is not there."""
    return convert_face_mesh(data[_PACKED_MESH])


def convert_face_mesh(data: bytes) -> bytes:
    """MediaPipe's `face_landmark.tflite` as an ONNX network.

    Input `face`: N×192×192×3 bytes, RGB. Outputs: `landmarks` N×1404 float32, 468 points (x, y, z) in pixels of
    the input; `presence` N×1 float32, the logit that there is a face. Equal to Google's runtime to 1e-3
    (tests/packs/convert/test_tflite.py).

    Raises PackDamaged if `data` is not that network.
    """
    with np.errstate(all="ignore"):  # GraphWriter refuses values that are not finite
        model = read_model(data, "face mesh network (face_landmark.tflite)")
        converter = _Converter(model, "face_landmark", white=255)
        return converter.write("face", ["landmarks", "presence"], (192, 192, 3), [1404, 1])


def convert_expression(data: bytes) -> bytes:
    """fer's `emotion_model_quantized.tflite` as an ONNX network.

    Input `face`: N×1×64×64 float32, grey, −1–1. Output `probabilities`: N×7 float32, summing to 1, in the order angry,
    disgust, fear, happy, sad, surprise, neutral.

    Raises PackDamaged if `data` is not that network.
    """
    with np.errstate(all="ignore"):
        model = read_model(data, "expression network (emotion_model_quantized.tflite)")
        return _Converter(model, "expression").write("face", ["probabilities"], (64, 64, 1), [7])


class _Converter:
    """Translates operator by operator. With `white`, the input is bytes, of which `white` is mapped to 1; otherwise
    float32.
    """

    def __init__(self, model: Model, name: str, white: int | None = None) -> None:
        self._model = model
        self._white = white
        self._graph = GraphWriter(name, model.file)
        self._values: dict[int, str] = {}  # tensor → its name in the graph, once it is computed
        self._constants = {i: t.values for i, t in enumerate(model.tensors) if t.values is not None}

    def write(self, source: str, results: list[str], shape: tuple[int, ...], widths: list[int]) -> bytes:
        """The network with one picture as input and vectors as outputs, with the given names; checks their shapes."""
        model = self._model
        if [model.tensors[i].shape for i in model.inputs] != [(1, *shape)]:
            raise model.damaged(f"one input of {shape}")
        found = [model.tensors[i].shape for i in model.outputs]
        if [shape[-1] for shape in found if shape and max(shape[:-1], default=1) == 1] != widths:
            raise model.damaged(f"outputs of {widths} values, found {found}")
        self._values[model.inputs[0]] = source if self._white is None else self._graph.pictures(source)
        for operator in model.operators:
            self._translate(operator)
        for index, result in zip(model.outputs, results, strict=True):
            self._graph.node("Flatten", [self._value(index)], result, axis=1)
        height, width, channels = shape
        taken: Shape = ["N", channels, height, width] if self._white is None else ["N", *shape]
        outputs: dict[str, Shape] = {result: ["N", size] for result, size in zip(results, widths, strict=True)}
        return self._graph.serialise({source: taken}, outputs)

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
        """Height, width and channels of a picture."""
        shape = self._model.tensors[index].shape
        if len(shape) != 4:
            raise self._model.damaged(f"four dimensions for {self._model.tensors[index].name!r}, found {shape}")
        return shape

    def _finish(self, operator: Operator, op: str, inputs: list[str], activation: int = 0, **attributes: Any) -> None:
        """Adds the node, and the activation that TFLite fuses into the operator."""
        if activation not in _ACTIVATIONS:
            raise self._model.damaged(
                f"an activation of {list(_ACTIVATIONS)} after {operator.name}, found {activation}"
            )
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
        # Stored as outputs×rows×columns×inputs, depthwise ones as 1×rows×columns×channels.
        weights = filters.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        if self._white is not None and operator.inputs[0] in self._model.inputs:
            weights = weights.astype(np.float64) / self._white
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
        """Kernel, strides and padding (options 0, 1, 2); SAME as in TensorFlow, with the odd pixel at the end."""
        same = operator.option(0, "b") == 0
        strides = [operator.option(2, "i"), operator.option(1, "i")]
        sides = self._shape(operator.inputs[0])[1:3]
        expected = self._shape(operator.outputs[0])[1:3]
        before, after = [], []
        for side, kernel, stride, wanted in zip(sides, (rows, columns), strides, expected, strict=True):
            if not (1 <= stride <= MAX_SIDE and 1 <= kernel <= MAX_SIDE):
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
        pooled = self._graph.node(
            "GlobalAveragePool", [self._value(operator.inputs[0])], f"t{operator.outputs[0]}_mean"
        )
        self._finish(operator, "Flatten", [pooled], axis=1)

    def _pad(self, operator: Operator) -> None:
        amounts, channels = self._constant(operator, 1), self._shape(operator.inputs[0])[3]
        # Rows are N, H, W, C, columns before and after: the last number pads after the channels.
        if amounts.shape != (4, 2) or np.delete(amounts, 7).any() or amounts[3, 1] != channels:
            raise self._model.damaged("padding that doubles the channels, at their end")
        # The channels times zero: for a Pad, ONNX Runtime leaves the blocked layout of its convolutions.
        source = self._value(operator.inputs[0])
        zero = self._graph.constant(f"{source}_nought", np.zeros((channels, 1, 1), np.float32))
        zeros = self._graph.node("Mul", [source, zero], f"{source}_zeros")
        self._values[operator.outputs[0]] = self._graph.node("Concat", [source, zeros], f"{source}_padded", axis=1)

    def _prelu(self, operator: Operator) -> None:
        """PReLU with slopes s as s·x + (1 − s)·max(x, 0), each product a 1×1 convolution.

        With ONNX Runtime's PRelu the mesh takes 3.5 ms a face, like this 1.0 ms (one thread). If no s is above 1,
        (1 − s)·max(x, 0) is max((1 − s)·x, 0), which the runtime fuses into the convolution.
        """
        slopes, channels = self._constant(operator, 1), self._shape(operator.inputs[0])[3]
        if slopes.size != channels:
            raise self._model.damaged(f"{channels} slopes for PRELU, found {slopes.shape}")
        source, name = self._value(operator.inputs[0]), f"t{operator.outputs[0]}"
        slopes = slopes.reshape(channels, 1, 1, 1)
        below = self._graph.constant(f"{name}_slope", slopes)
        above = self._graph.constant(f"{name}_rest", 1 - slopes)
        sloped = self._graph.node("Conv", [source, below], f"{name}_sloped", kernel_shape=[1, 1], group=channels)
        if (slopes <= 1).all():
            scaled = self._graph.node("Conv", [source, above], f"{name}_scaled", kernel_shape=[1, 1], group=channels)
            rest = self._graph.node("Relu", [scaled], f"{name}_above")
        else:
            positive = self._graph.node("Relu", [source], f"{name}_positive")
            rest = self._graph.node("Conv", [positive, above], f"{name}_above", kernel_shape=[1, 1], group=channels)
        self._finish(operator, "Add", [sloped, rest])

    def _softmax(self, operator: Operator) -> None:
        self._finish(operator, "Softmax", [self._value(operator.inputs[0])], axis=-1)
