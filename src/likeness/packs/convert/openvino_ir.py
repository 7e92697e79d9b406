"""OpenVINO IR (a graph as XML and its weights as bytes) → ONNX.

The format (OpenVINO's documentation, "Intermediate Representation", version 10 and 11): `layers` in the order of
execution, each with an id, a type of an operation set, attributes in `data`, and ports; `edges` from the output of a
layer to an input port of another. A constant is a range of the weights. Only the layers of Open Model Zoo's
face-reidentification-retail-0095 are known: a MobileNetV2 with PReLU and squeeze-and-excitation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.graph import GraphWriter, Shape

_NAME = "the OpenVINO IR"
#: The published files have 0.24 and 4.4 MB.
_MOST_XML_BYTES, _MOST_WEIGHT_BYTES = 4 * 1024 * 1024, 64 * 1024 * 1024
_TYPES = {"f32": "<f4", "f16": "<f2"}
_VERSIONS = ("10", "11")


def convert_openvino_ir(xml: bytes, weights: bytes) -> bytes:
    """The network as ONNX: input `picture` float32 (N, C, H, W) as the IR's, one output of N vectors.

    The same bytes give the same ONNX bytes everywhere. Nothing in the files is executed. Raises PackDamaged for a file
    that is no such IR or has layers that are not known.
    """
    if len(xml) > _MOST_XML_BYTES or len(weights) > _MOST_WEIGHT_BYTES:
        raise _damaged(f"has {len(xml)} and {len(weights)} bytes, more than any known network")
    try:
        text = xml.decode("utf-8")
        if "<!" in text:  # no IR has a document type; entities could grow without limit
            raise _damaged("has a document type or comments")
        net = ElementTree.fromstring(text)
        return _Converter(net, weights).write()
    except (ElementTree.ParseError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise _damaged(f"cannot be read ({type(error).__name__}: {error})") from error


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer: `values` are the names of what its input ports get, in their order; the first has the shape `sizes`."""

    id: str
    type: str
    attributes: Mapping[str, str]
    values: list[str]
    sizes: list[int]

    def numbers(self, name: str) -> list[int]:
        return [int(each) for each in self.attributes[name].split(",")]

    @property
    def pads(self) -> list[int]:
        """As ONNX wants them; ValueError where they depend on the size."""
        if self.attributes.get("auto_pad", "explicit") != "explicit":
            raise ValueError(f"layer {self.id} pads by {self.attributes['auto_pad']}")
        return [*self.numbers("pads_begin"), *self.numbers("pads_end")]


class _Converter:
    """Writes one layer after the other."""

    def __init__(self, net: ElementTree.Element, weights: bytes) -> None:
        if net.tag != "net" or net.get("version") not in _VERSIONS:
            raise ValueError(f"version {net.get('version')} of <{net.tag}>, not {' or '.join(_VERSIONS)} of <net>")
        self._net = net
        self._weights = weights
        self._graph = GraphWriter("openvino", _NAME)
        self._constants: dict[str, NDArray[np.float32]] = {}
        self._taken = 0
        self._input: dict[str, Shape] = {}
        self._output: dict[str, Shape] = {}

    def write(self) -> bytes:
        known: dict[str, Callable[[_Layer], None]] = {
            "Parameter": self._parameter,
            "Const": self._constant,
            "Convert": self._conversion,
            "Convolution": self._convolution,
            "GroupConvolution": self._convolution,
            "Add": lambda layer: self._node("Add", layer),
            "Multiply": lambda layer: self._node("Mul", layer),
            "Sigmoid": lambda layer: self._node("Sigmoid", layer),
            "PReLU": self._prelu,
            "AvgPool": self._pooling,
            "Result": self._result,
        }
        sources = {
            (edge.attrib["to-layer"], edge.attrib["to-port"]): f"v{edge.attrib['from-layer']}"
            for edge in self._net.iterfind("./edges/edge")
        }
        for element in self._net.iterfind("./layers/layer"):
            ports = [port.attrib["id"] for port in element.iterfind("./input/port")]
            data = element.find("data")
            values = [sources[element.attrib["id"], port] for port in ports]
            sizes = [int(dim.text or "") for dim in element.iterfind("./input/port[1]/dim")]
            said = {} if data is None else data.attrib
            layer = _Layer(element.attrib["id"], element.attrib["type"], said, values, sizes)
            if layer.type not in known:
                raise ValueError(f"layer {layer.id} is a {layer.type}, which is not among {', '.join(known)}")
            known[layer.type](layer)
        if len(self._input) != 1 or len(self._output) != 1:
            raise ValueError(f"{len(self._input)} inputs and {len(self._output)} outputs, not one of each")
        return self._graph.serialise(self._input, self._output)

    def _parameter(self, layer: _Layer) -> None:
        self._input["picture"] = ["N", *layer.numbers("shape")[1:]]
        self._graph.node("Identity", ["picture"], f"v{layer.id}")

    def _result(self, layer: _Layer) -> None:
        self._output[layer.values[0]] = ["N", *layer.sizes[1:]]

    def _constant(self, layer: _Layer) -> None:
        kind, shape = np.dtype(_TYPES[layer.attributes["element_type"]]), layer.numbers("shape")
        start, size = int(layer.attributes["offset"]), int(layer.attributes["size"])
        count = int(np.prod(shape, dtype=np.int64))
        self._taken += size  # constants that overlap could take any amount of memory
        within = 0 <= start <= start + size <= len(self._weights) and self._taken <= len(self._weights)
        if not within or count < 1 or count * kind.itemsize != size:
            raise ValueError(f"layer {layer.id} is {shape} in {size} bytes at {start} of {len(self._weights)}")
        values = np.frombuffer(self._weights, kind, count, start).reshape(shape)
        self._constants[f"v{layer.id}"] = values.astype(np.float32)

    def _conversion(self, layer: _Layer) -> None:
        """Half to single precision, which `_constant` has done."""
        self._constants[f"v{layer.id}"] = self._constants[layer.values[0]]

    def _convolution(self, layer: _Layer) -> None:
        filters = self._constant_at(layer, 1)
        groups = 1
        if layer.type == "GroupConvolution":  # filters (groups, outputs of a group, inputs of a group, height, width)
            groups, filters = filters.shape[0], filters.reshape(-1, *filters.shape[2:])
        self._graph.node(
            "Conv",
            [layer.values[0], self._graph.constant(f"v{layer.id}_filters", filters)],
            f"v{layer.id}",
            strides=layer.numbers("strides"),
            dilations=layer.numbers("dilations"),
            pads=layer.pads,
            group=groups,
        )

    def _prelu(self, layer: _Layer) -> None:
        """One slope, or one a channel."""
        slopes = self._graph.constant(f"v{layer.id}_slopes", self._constant_at(layer, 1).reshape(-1, 1, 1))
        self._graph.node("PRelu", [layer.values[0], slopes], f"v{layer.id}")

    def _pooling(self, layer: _Layer) -> None:
        if layer.attributes.get("rounding_type", "floor") != "floor":
            raise ValueError(f"layer {layer.id} rounds by {layer.attributes['rounding_type']}")
        self._graph.node(
            "AveragePool",
            layer.values,
            f"v{layer.id}",
            kernel_shape=layer.numbers("kernel"),
            strides=layer.numbers("strides"),
            pads=layer.pads,
            count_include_pad=int(layer.attributes["exclude-pad"] != "true"),
        )

    def _node(self, operation: str, layer: _Layer) -> None:
        if layer.attributes.get("auto_broadcast", "numpy") != "numpy":
            raise ValueError(f"layer {layer.id} broadcasts by {layer.attributes['auto_broadcast']}")
        for name in layer.values:
            if name in self._constants:
                self._graph.constant(name, self._constants[name])
        self._graph.node(operation, layer.values, f"v{layer.id}")

    def _constant_at(self, layer: _Layer, port: int) -> NDArray[np.float32]:
        """The constant that a port gets; KeyError if it gets something else."""
        return self._constants[layer.values[port]]


def _damaged(what: str) -> PackDamaged:
    return PackDamaged(f"{_NAME} {what}; fetch the files again, or use a version that Likeness knows")
