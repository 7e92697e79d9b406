"""MobileFaceNet (`mobilefacenet.bin`, weights of a TensorFlow.js graph) → ONNX.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices", 2018,
arXiv:1804.07573; trained on a cleaned MS-Celeb-1M by the project MobileFaceNet_TF, here with 192 outputs.

The file holds its tensors consecutively as little-endian float32; their order and shapes, which the graph's description
(`mobilefacenet.json`, `weightsManifest`) lists, follow from the network:

    slopes    of the PReLUs, halved and negated, from the last blocks to the first (`_slopes`)
    an int32 and a float32, axis and epsilon of the L2 normalisation, which is omitted here
    layers    filters, then biases, in the order of the network; those of the last five layers are among the first,
              one tensor after the filters of each layer in `_AMONG`

The description is wrong about the PReLUs. It computes ReLU(x) + slope/2 · (x - |x|) with the slopes as in the file, and
applies a ReLU before the PReLU after every depthwise convolution, which makes all people look the same to the network.
With the slopes negated and without the ReLU it is the trained network.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.graph import GraphWriter

CHIP_SIDE_PX = 112
EMBEDDING_SIZE = 192
_FILE = "MobileFaceNet"
#: Colours from 0 to 255 are mapped to -1 to 1, as in training.
_MIDDLE, _HALF = 127.5, 128.0
#: The least magnitude of a PReLU's second factor, to avoid divisions by zero.
_LEAST_REST = 1e-6


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution, depthwise if `outputs` is 0, followed by a PReLU if `prelu`."""

    name: str
    inputs: int
    outputs: int
    size: int = 1
    stride: int = 1
    prelu: bool = False
    padded: bool = True

    @property
    def filters(self) -> tuple[int, int, int, int]:
        return (self.size, self.size, self.inputs, self.outputs or 1)

    @property
    def channels(self) -> int:
        return self.outputs or self.inputs


#: Stage, blocks, channels within and after a block (the paper, table 1). The first block of stages 2, 3 and 5 halves
#: the picture; the others have a residual connection.
_STAGES = ((2, 5, 128, 64), (3, 1, 256, 128), (4, 6, 256, 128), (5, 1, 512, 128), (6, 2, 256, 128))
_SHRINKING = ("2_0", "3_0", "5_0")


def _layers() -> Iterator[_Layer]:
    yield _Layer("first", 3, 64, size=3, stride=2, prelu=True)
    yield _Layer("first_each", 64, 0, size=3, prelu=True)
    yield _Layer("first_mixed", 64, 64)
    channels = 64
    for stage, blocks, inside, behind in _STAGES:
        for block in (f"{stage}_{number}" for number in range(blocks)):
            yield _Layer(f"{block}_widened", channels, inside, prelu=True)
            yield _Layer(f"{block}_each", inside, 0, size=3, stride=2 if block in _SHRINKING else 1, prelu=True)
            yield _Layer(f"{block}_narrowed", inside, behind)
            channels = behind
    yield _Layer("last", channels, 512, prelu=True)
    yield _Layer("whole", 512, 0, size=7, padded=False)
    yield _Layer("mixed", 512, 512)
    yield _Layer("embedding", 512, EMBEDDING_SIZE)


_LAYERS = {layer.name: layer for layer in _layers()}
#: The layers after whose filters the tensors of the last five layers are, filters and biases alternating.
_AMONG = (
    *("2_0_narrowed", "2_1_narrowed", "2_3_widened", "2_4_widened", "4_1_narrowed"),
    *("4_2_narrowed", "4_3_narrowed", "4_4_narrowed", "4_5_narrowed", "5_0_narrowed"),
)
_LATE_LAYERS = list(_LAYERS)[-5:]
_LATE = dict(zip(_AMONG, ((name, part) for name in _LATE_LAYERS for part in ("filters", "biases")), strict=True))

#: 1×1 layers directly followed by another 1×1 layer, into which they are merged.
_MERGED = {"first_mixed": "2_0_widened", "mixed": "embedding"}


def _slopes() -> Iterator[str]:
    """The layers with a PReLU, in the order of their slopes in the file."""
    for block in ("6_1", "6_0", "4_5", "4_4", "4_3", "4_2", "4_1", "4_0", "2_4", "2_3", "2_2", "2_1"):
        yield from (f"{block}_widened", f"{block}_each")
    yield from ("first", "first_each")
    for block in ("2_0", "3_0", "5_0"):
        yield from (f"{block}_widened", f"{block}_each")
    yield "last"


class _Tensors:
    """The tensors of the file by layer and part, after merging; PackDamaged for a file of another length."""

    def __init__(self, data: bytes) -> None:
        self._numbers = np.frombuffer(data[: len(data) // 4 * 4], "<f4")
        self._position = 0
        self.of: dict[tuple[str, str], NDArray[np.float64]] = {}
        for name in _slopes():
            self.of[name, "slopes"] = -2 * self._take(_LAYERS[name].channels)
        self._take(2)
        for layer in list(_LAYERS.values())[:-5]:
            self._take_part(layer, "filters")
            if layer.name in _LATE:
                late, part = _LATE[layer.name]
                self._take_part(_LAYERS[late], part)
            self._take_part(layer, "biases")
        if self._position * 4 != len(data):
            raise PackDamaged(f"{_FILE}: expected {self._position * 4} bytes, found {len(data)}; fetch the file again")
        self._merge()

    def _merge(self) -> None:
        """Merges layers into their successors: B(Ax + a) + b = (BA)x + (Ba + b)."""
        for name, follower in _MERGED.items():
            (((inner,),), ((outer,),)) = self.of[name, "filters"], self.of[follower, "filters"]
            self.of[follower, "biases"] += self.of.pop((name, "biases")) @ outer
            self.of[follower, "filters"] = (inner @ outer)[np.newaxis, np.newaxis]
            del self.of[name, "filters"]

    def _take_part(self, layer: _Layer, part: str) -> None:
        shape = layer.filters if part == "filters" else (layer.channels,)
        self.of[layer.name, part] = self._take(*shape)

    def _take(self, *shape: int) -> NDArray[np.float64]:
        count = int(np.prod(shape))
        values = self._numbers[self._position : self._position + count]
        if len(values) < count:
            raise PackDamaged(f"{_FILE}: the file ends at byte {self._numbers.nbytes}; fetch it again")
        self._position += count
        return values.astype(np.float64).reshape(shape)


def convert_mobilefacenet(data: bytes) -> bytes:
    """The network as ONNX, in single precision.

    Input `chips`: N×112×112×3 bytes, RGB. Output `embeddings`: N×192 float32, not normalised. The same bytes give the
    same ONNX bytes everywhere. Raises PackDamaged if `data` is not that network.
    """
    tensors, graph = _Tensors(data).of, GraphWriter("mobilefacenet", _FILE)
    value = graph.node("Sub", [graph.pictures("chips"), graph.constant("middle", np.array(_MIDDLE))], "centred")
    value = graph.node("Mul", [value, graph.constant("scale", np.array(1 / _HALF))], "scaled")
    entered, signs = value, np.ones(3)
    for layer in (layer for layer in _LAYERS.values() if layer.name not in _MERGED):
        block, _, place = layer.name.rpartition("_")
        if place == "widened":
            entered = value
        filters, biases = tensors[layer.name, "filters"] * signs[:, np.newaxis], tensors[layer.name, "biases"]
        if layer.prelu:
            value, signs = _prelu_convolution(graph, value, layer, filters, biases, tensors[layer.name, "slopes"])
        else:
            value, signs = _convolution(graph, value, layer, filters, biases), np.ones(layer.channels)
        if place == "narrowed" and block not in _SHRINKING:
            value = graph.node("Add", [value, entered], f"{layer.name}_added")
    graph.node("Flatten", [value], "embeddings", axis=1)
    return graph.serialise({"chips": ["N", CHIP_SIDE_PX, CHIP_SIDE_PX, 3]}, {"embeddings": ["N", EMBEDDING_SIZE]})


def _convolution(
    graph: GraphWriter, value: str, layer: _Layer, filters: NDArray[np.float64], biases: NDArray[np.float64]
) -> str:
    """A convolution with `filters` (rows, columns, inputs, outputs), or (rows, columns, channels, 1) if depthwise."""
    # To output, input, rows, columns.
    filters = filters.transpose(3, 2, 0, 1) if layer.outputs else filters.transpose(2, 3, 0, 1)
    # TensorFlow's padding "SAME" for even sides.
    pads = [0, 0, 1, 1] if layer.stride == 2 else [layer.size // 2 if layer.padded else 0] * 4
    return graph.node(
        "Conv",
        [value, graph.constant(f"{layer.name}_w", filters), graph.constant(f"{layer.name}_b", biases)],
        layer.name,
        kernel_shape=[layer.size] * 2,
        strides=[layer.stride] * 2,
        pads=pads,
        group=1 if layer.outputs else layer.inputs,
    )


def _prelu_convolution(
    graph: GraphWriter,
    value: str,
    layer: _Layer,
    filters: NDArray[np.float64],
    biases: NDArray[np.float64],
    slopes: NDArray[np.float64],
) -> tuple[str, NDArray[np.float64]]:
    """A convolution followed by a PReLU, up to the sign of each channel: the value, and the signs (channels,), by which
    the next layer's filters must be multiplied.

    For the operator PRelu, ONNX Runtime leaves the blocked layout of its convolutions, which takes longer than they do.
    So PReLU is written as slope · x + (1 - slope) · ReLU(x): the magnitude of the second factor is merged into the
    convolution and its sign into the next, which leaves steepness · z + ReLU(z). A view takes half the time.
    """
    rest = 1 - slopes
    size, signs = np.maximum(np.abs(rest), _LEAST_REST), np.where(rest < 0, -1.0, 1.0)
    scaled = _convolution(
        graph, value, layer, filters * (size if layer.outputs else size[:, np.newaxis]), biases * size
    )
    steepness = (signs * slopes / size)[:, np.newaxis, np.newaxis]
    name = layer.name
    sloping = graph.node("Mul", [scaled, graph.constant(f"{name}_s", steepness)], f"{name}_sloping")
    positive = graph.node("Relu", [scaled], f"{name}_positive")
    return graph.node("Add", [positive, sloping], f"{name}_bent"), signs
