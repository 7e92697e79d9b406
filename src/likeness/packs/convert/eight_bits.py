"""A network's convolutions in eight bits, where its values are known to lie within measured ranges.

Written as ONNX's own pattern (QuantizeLinear, DequantizeLinear around the float operator; ONNX specification, operator
set 13), which ONNX Runtime runs in integers: values as unsigned bytes with a zero point, weights as signed bytes with
one scale a filter (Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018, sections
2.1 and 3.1).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from likeness.errors import PackDamaged

#: ONNX wants a scale that is a normal number; a filter of nothing but zeros keeps this one.
_LEAST_SCALE = 1e-12
#: x86 processors without the VNNI instructions add two products of an unsigned and a signed byte in 16 bits and cut off
#: what does not fit (vpmaddubsw; ONNX Runtime's documentation, "Quantize ONNX models", on U8S8 and `reduce_range`). Two
#: weights of one sign that come to no more than this fit: 255 · 128 < 2¹⁵. In depthwise convolutions, whose channels
#: have one input each, ONNX Runtime multiplies in 16 and adds in 32 bits, so there a weight may use the whole byte.
_MOST_STEPS, _MOST_STEPS_OF_TWO = 127, 128

Means = Mapping[str, Sequence[float]]


def in_eight_bits(
    network: bytes, ranges: Mapping[str, tuple[float, float]], file: str, means: Means | None = None
) -> bytes:
    """`network` (ONNX) with every value rounded to eight bits that has a range, and what works between such values done
    in integers; `file` names it in errors.

    `ranges` gives the least and the greatest of a value, by its name; what lies outside is cut off. Numbers that are
    made of bytes, and have a range, are steps of one, whatever it is. `means` gives the usual value of each channel:
    what rounded weights make too much or too little of it is taken off the biases (Nagel, van Baalen, Blankevoort,
    Welling, "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2). Inputs
    and outputs of the network stay what they are. The same bytes give the same bytes everywhere. Raises PackDamaged
    when a range is for no value of the network, or the result does not pass ONNX's checker.
    """
    model = onnx.load_model_from_string(network)
    unknown = ranges.keys() - {name for node in model.graph.node for name in (*node.input, *node.output)}
    if unknown:
        raise PackDamaged(f"{file}: expected the values {', '.join(sorted(unknown))}; fetch the file again")
    _Rewriter(model, ranges, means or {}).rewrite()
    written = bytes(model.SerializeToString(deterministic=True))
    try:
        onnx.checker.check_model(written, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PackDamaged(f"{file}: cannot be written in eight bits ({str(error).splitlines()[0]})") from error
    return written


class _Rewriter:
    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]], means: Means) -> None:
        self._graph = model.graph
        self._ranges = dict(ranges)
        self._means = means
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}
        # What stands before a ReLU, or one that ends at 6 (Clip), is rounded by the range of what comes after it.
        self._before_relu = {
            node.input[0] for node in self._graph.node if node.op_type in ("Relu", "Clip") and node.output[0] in ranges
        }
        self._nodes: list[onnx.NodeProto] = []
        self._rounded: dict[str, str] = {}  # a value → the same value after eight bits

    def rewrite(self) -> None:
        """Replaces the graph's nodes and weights."""
        for value in self._graph.input:
            if value.name in self._ranges:
                self._round(value.name)
        bytes_in = {value.name for value in self._graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8}
        for node in self._graph.node:
            if node.op_type == "Transpose" and node.input[0] in bytes_in:
                bytes_in.add(node.output[0])
            if node.op_type == "Cast" and node.input[0] in bytes_in and node.output[0] in self._ranges:
                self._take_bytes(node)
                continue
            self._nodes.append(self._on_rounded_values(node))
            if node.output[0] in self._ranges:
                self._round(node.output[0])
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        del self._graph.initializer[:]
        self._graph.initializer.extend(self._weights[name] for name in sorted(used & self._weights.keys()))

    def _on_rounded_values(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """`node` on rounded values where there are such; a convolution whose result is rounded too, by itself or by the
        ReLU behind it, on rounded weights.
        """
        inputs = [self._rounded.get(name, name) for name in node.input]
        ends = node.output[0] in self._ranges or node.output[0] in self._before_relu
        if node.op_type == "Conv" and node.input[0] in self._rounded and ends:
            inputs[1], scales = self._filters(node.input[1])
            if len(inputs) > 2:
                inputs[2] = self._biases(node, scales)
        rewritten = onnx.NodeProto()
        rewritten.CopyFrom(node)
        rewritten.input[:] = inputs
        return rewritten

    def _take_bytes(self, node: onnx.NodeProto) -> None:
        """Writes the Cast `node` of bytes as what it is in eight bits: steps of one."""
        name = node.output[0]
        self._ranges[name] = 0.0, 255.0
        scale = self._constant(f"{name}_scale", np.asarray(np.float32(1)))
        zero = self._constant(f"{name}_zero", np.asarray(np.uint8(0)))
        rounded = self._rounded[name] = f"{name}_rounded"
        self._nodes.append(helper.make_node("DequantizeLinear", [node.input[0], scale, zero], [rounded], name=rounded))

    def _round(self, name: str) -> None:
        """Rounds the value `name` to eight bits and makes it a float again."""
        scale, zero = self._scale(name)
        pair = [self._constant(f"{name}_scale", scale), self._constant(f"{name}_zero", zero)]
        self._nodes.append(helper.make_node("QuantizeLinear", [name, *pair], [f"{name}_8"], name=f"{name}_8"))
        rounded = f"{name}_rounded"
        self._nodes.append(helper.make_node("DequantizeLinear", [f"{name}_8", *pair], [rounded], name=rounded))
        self._rounded[name] = rounded

    def _scale(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """What one step of an unsigned byte is worth, and the byte that stands for zero."""
        low, high = self._ranges[name]
        scale = np.float32((max(high, 0.0) - min(low, 0.0)) / 255)
        return np.asarray(scale), np.asarray(np.uint8(np.rint(-min(low, 0.0) / scale)))

    def _filters(self, name: str) -> tuple[str, NDArray[np.float32]]:
        """The filters `name` as signed bytes, and what one step of each is worth."""
        filters = numpy_helper.to_array(self._weights[name])
        scales = np.maximum(_steps(filters), np.float32(_LEAST_SCALE)).astype(np.float32)
        steps = np.rint(filters / scales.reshape(-1, *[1] * (filters.ndim - 1)))
        return self._float_again(name, steps.astype(np.int8), scales), scales

    def _biases(self, node: onnx.NodeProto, filter_scales: NDArray[np.float32]) -> str:
        """The biases of a convolution as 32-bit steps of the products that they are added to, made up for what the
        filters, whose steps are worth `filter_scales`, lost.
        """
        source, filters, name = node.input
        biases = numpy_helper.to_array(self._weights[name]).astype(np.float64)
        if source in self._means:
            exact = numpy_helper.to_array(self._weights[filters]).astype(np.float64)
            steps = numpy_helper.to_array(self._weights[f"{filters}_8"])
            lost = exact - steps * filter_scales.astype(np.float64).reshape(-1, 1, 1, 1)
            means, lost = np.asarray(self._means[source], dtype=np.float64), lost.sum(axis=(2, 3))
            # A filter that looks at one channel of many looks at its own.
            biases += lost[:, 0] * means if lost.shape[1] == 1 else lost @ means
        scales = np.maximum(filter_scales * self._scale(source)[0], np.float32(_LEAST_SCALE)).astype(np.float32)
        steps = np.clip(np.rint(biases / scales), -(2**31), 2**31 - 1)
        return self._float_again(name, steps.astype(np.int32), scales)

    def _float_again(self, name: str, steps: NDArray[np.int8] | NDArray[np.int32], scales: NDArray[np.float32]) -> str:
        zeros = np.zeros(len(scales), steps.dtype)
        parts = {"8": steps, "scale": scales, "zero": zeros}
        inputs = [self._constant(f"{name}_{part}", values) for part, values in parts.items()]
        output = f"{name}_float"
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, [output], name=output, axis=0))
        return output

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self._weights[name] = numpy_helper.from_array(values, name)
        return name


def _steps(filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """What one step of each filter (N, inputs, height, width) is worth: the least with which its weights fit."""
    flat = filters.reshape(len(filters), -1)
    steps = np.abs(flat).max(axis=1) / np.float32(_MOST_STEPS)
    if filters.shape[1] == 1:
        return np.asarray(steps, np.float32)
    ordered = np.sort(flat, axis=1)
    of_two = np.maximum(ordered[:, -2:].sum(axis=1), -ordered[:, :2].sum(axis=1))
    # Each of the two may be rounded up by half a step; and an even number keeps filters that average exact.
    return np.asarray(np.maximum(steps, of_two / np.float32(_MOST_STEPS_OF_TWO - 2)), np.float32)
