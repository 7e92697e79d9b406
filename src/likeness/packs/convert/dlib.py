"""dlib's face recognition ResNet (`dlib_face_recognition_resnet_model_v1.dat`) → ONNX.

The file is dlib's own serialisation of the network type `anet_type` (dlib, examples/dnn_face_recognition_ex.cpp):
after the version numbers of all nested layers come the layers themselves, from the input outwards. What is in it,
after dlib/serialize.h, dnn/core.h, dnn/layers.h, dnn/tensor.h and dnn/input.h:

    integer   one control byte (bit 7: negative; bits 0 to 3: number of bytes), then the magnitude, little end first
    number    two integers, mantissa and exponent: mantissa · 2^exponent
    text      its length as an integer, then the bytes
    flag      the character 0 or 1
    tensor    the integer 2 (version), four dimensions, then raw little-endian float32
    alias     the integer 1 (version), four dimensions: a view into the layer's tensor
    layer     a name with its version, its fields, three flags, three empty tensors

The network is: a 7×7 convolution of stride 2, max pooling, then fourteen residual blocks of two 3×3 convolutions, the
mean over all places, and a matrix to 128 values. Every convolution is followed by an affine layer, folded here into
its weights. Where a block shrinks, its first convolution has stride 2 and no padding, and the skip connection is
averaged 2×2; the addition then pads whichever side is smaller with zeros, at the end of the channels, rows and
columns.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.graph import GraphWriter, Shape

CHIP_SIDE_PX = 150
EMBEDDING_SIZE = 128
_FILE = "dlib face recognition network"
_MAX_VALUES = 1 << 24
"""No tensor of this network comes near it (2^20); a damaged size must not ask for gigabytes."""


@dataclass(frozen=True)
class Layer:
    """One layer of the file: its kind (`con`, `affine`, `relu`, `max_pool`, `avg_pool`, `add_prev`, `fc`), its integer
    fields in the file's order, and its weights (first the filters or factors, then the biases), if it has any."""

    kind: str
    fields: tuple[int, ...]
    weights: tuple[NDArray[np.float32], ...] = ()


class DatReader:
    """Reads dlib's primitive values one after the other; every surprise is a PackDamaged that says what and where."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def damaged(self, expected: str, found: str = "") -> PackDamaged:
        """The error for something other than `expected` at the present place."""
        what = f", found {found}" if found else ""
        return PackDamaged(f"{_FILE}: expected {expected} at byte {self.position}{what}; fetch the file again")

    def take(self, count: int, expected: str) -> bytes:
        """The next `count` bytes."""
        taken = self._data[self.position : self.position + count]
        if len(taken) != count:
            raise self.damaged(expected, "the end of the file")
        self.position += count
        return taken

    def integer(self, expected: str, *, at_most: int = 1 << 62) -> int:
        """A packed integer with an absolute value of at most `at_most`."""
        start = self.position
        control = self.take(1, expected)[0]
        size = control & 0x0F
        if control & 0x70 or not 1 <= size <= 8:
            self.position = start
            raise self.damaged(expected, f"the control byte 0x{control:02x}")
        magnitude = int.from_bytes(self.take(size, expected), "little")
        if magnitude > at_most:
            self.position = start
            raise self.damaged(expected, str(magnitude))
        return -magnitude if control & 0x80 else magnitude

    def exactly(self, value: int, expected: str) -> None:
        """A packed integer that can only be `value`."""
        start = self.position
        found = self.integer(expected)
        if found != value:
            self.position = start
            raise self.damaged(f"{expected} {value}", str(found))

    def number(self, expected: str) -> float:
        """A floating-point number given as mantissa and exponent."""
        mantissa = self.integer(expected)
        return float(np.ldexp(float(mantissa), self.integer(expected, at_most=1024)))

    def text(self, expected: str) -> str:
        """A length-prefixed text of at most 64 bytes."""
        size = self.integer(expected, at_most=64)
        if size < 0:
            raise self.damaged(expected, "a negative length")
        return self.take(size, expected).decode("latin-1")

    def dimensions(self, version: int, expected: str) -> tuple[int, int, int, int]:
        """The version and the four dimensions that a tensor and an alias begin with."""
        self.exactly(version, f"{expected}, version")
        a, b, c, d = (self.integer(expected, at_most=_MAX_VALUES) for _ in range(4))
        if min(a, b, c, d) < 0 or a * b * c * d > _MAX_VALUES:
            raise self.damaged(expected, f"the dimensions {a}×{b}×{c}×{d}")
        return a, b, c, d

    def tensor(self, expected: str) -> NDArray[np.float32]:
        """The values of a tensor, flat."""
        count = int(np.prod(self.dimensions(2, expected)))
        return np.frombuffer(self.take(4 * count, expected), dtype="<f4").astype(np.float32)


_FIELDS = {"con_4": 7, "affine_": 0, "relu_": 0, "max_pool_2": 6, "avg_pool_2": 6, "add_prev_": 0, "fc_2": 2}
"""How many integers each kind of layer holds. Convolution: filters, rows, columns, strides (y, x), padding (y, x);
pooling the same without filters (rows and columns 0: the whole image); matrix: outputs, inputs."""


def read_network(data: bytes) -> tuple[tuple[float, float, float], list[Layer]]:
    """The mean colour (red, green, blue) that the network subtracts, and its layers from the input to the output.

    Raises PackDamaged when the bytes are not the whole serialisation of such a network.
    """
    reader = DatReader(data)
    reader.exactly(1, "the loss layer's version")
    if (loss := reader.text("the name loss_metric_2")) != "loss_metric_2":
        raise reader.damaged("the name loss_metric_2", repr(loss))
    reader.number("the loss layer's margin")
    reader.number("the loss layer's threshold")
    while (version := reader.integer("a layer's version or the input layer")) in (1, 2, 3):
        pass
    name = "input_rgb_image_sized"
    if version != len(name) or reader.take(version, name) != name.encode():
        raise reader.damaged(f"the name {name}")
    red, green, blue = (reader.number("the mean colour") for _ in range(3))
    reader.exactly(CHIP_SIDE_PX, "the input's rows")
    reader.exactly(CHIP_SIDE_PX, "the input's columns")
    layers = [_read_layer(reader)]
    reader.exactly(1, "the sample expansion factor")
    while layers[-1].kind != "fc":
        layers.append(_read_layer(reader))
    if reader.position != len(data):
        raise reader.damaged("the end of the file", "more bytes")
    return (red, green, blue), layers


def _read_layer(reader: DatReader) -> Layer:
    kind = reader.text("the name of a layer")
    if kind not in _FIELDS:
        raise reader.damaged(f"one of the layers {', '.join(_FIELDS)}", repr(kind))
    fields: tuple[int, ...] = ()
    weights: tuple[NDArray[np.float32], ...] = ()
    if kind == "fc_2":
        fields = _read_fields(reader, kind)
        weights = _read_weights(reader, kind)
        reader.integer("whether the matrix has biases", at_most=1)
    elif kind == "con_4":
        values = reader.tensor("the filters of a convolution")
        fields = _read_fields(reader, kind)
        weights = _views(reader, kind, values)
    elif kind == "affine_":
        weights = _read_weights(reader, kind)
        reader.integer("the mode of an affine layer", at_most=1)
    else:
        fields = _read_fields(reader, kind)
    if kind in ("con_4", "fc_2"):
        for _ in range(4):
            reader.number("a learning rate")
    flags = reader.take(3, "three flags")
    if not set(flags) <= set(b"01"):
        raise reader.damaged("three flags", repr(flags))
    for _ in range(3):
        reader.tensor(f"the state of the layer {kind}")
    return Layer(kind.rstrip("_24"), fields, weights)


def _read_fields(reader: DatReader, kind: str) -> tuple[int, ...]:
    return tuple(reader.integer(f"the shape of the layer {kind}", at_most=4096) for _ in range(_FIELDS[kind]))


def _read_weights(reader: DatReader, kind: str) -> tuple[NDArray[np.float32], ...]:
    return _views(reader, kind, reader.tensor(f"the weights of the layer {kind}"))


def _views(reader: DatReader, kind: str, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """A layer's tensor cut by the two aliases after it: filters or factors, and biases (empty for none)."""
    first = reader.dimensions(1, f"the weights' shape of the layer {kind}")
    second = reader.dimensions(1, f"the biases' shape of the layer {kind}")
    split = int(np.prod(first))
    if split + int(np.prod(second)) != values.size:
        raise reader.damaged(f"shapes that fill the {values.size} weights of the layer {kind}", f"{first} and {second}")
    return values[:split].reshape(first), values[split:].reshape(-1)


def convert_dlib_resnet(data: bytes) -> bytes:
    """dlib's `.dat` file as an ONNX network.

    Input `chips`: N×150×150×3 bytes, RGB. Output `embeddings`: N×128 float32, of the length that dlib gives
    them (about 1.4), equal to dlib's to 1e-5 (tests/packs/convert/test_dlib.py). The same bytes give the same ONNX
    bytes everywhere.

    Raises PackDamaged when `data` is not that network.
    """
    with np.errstate(all="ignore"):  # what is not finite is refused where it is written
        mean, layers = read_network(data)
        return _ResNetWriter(mean, layers).write()


class _ResNetWriter:
    """Walks the layers from the input and writes the graph, keeping the shape (channels, side) of what it holds."""

    def __init__(self, mean: tuple[float, float, float], layers: list[Layer]) -> None:
        self._layers = layers
        self._next = 0
        self._graph = GraphWriter("dlib_resnet", _FILE)
        self._mean = np.array(mean, dtype=np.float64)
        self._value = self._graph.pictures("chips")
        self._channels, self._side = 3, CHIP_SIDE_PX

    def write(self) -> bytes:
        # dlib divides the colours by 256; a power of two in the filters is exact.
        self._convolution(scale=1 / 256, mean=self._mean)
        self._activation()
        self._pool("max_pool")
        blocks = 0
        while self._layers[self._next].kind == "con":
            self._block()
            blocks += 1
        self._pool("avg_pool")
        matrix = self._expect("fc")
        if matrix.fields != (EMBEDDING_SIZE, self._channels) or matrix.weights[1].size:
            raise self._damaged(f"a matrix of {self._channels}×{EMBEDDING_SIZE} without biases", str(matrix.fields))
        flat = self._graph.node("Flatten", [self._value], "pooled", axis=1)
        weights = self._graph.constant("matrix", matrix.weights[0].reshape(self._channels, EMBEDDING_SIZE))
        self._graph.node("MatMul", [flat, weights], "embeddings")
        chips: Shape = ["N", CHIP_SIDE_PX, CHIP_SIDE_PX, 3]
        return self._graph.serialise({"chips": chips}, {"embeddings": ["N", EMBEDDING_SIZE]})

    def _damaged(self, expected: str, found: str) -> PackDamaged:
        return PackDamaged(f"{_FILE}: expected {expected} as layer {self._next}, found {found}; fetch the file again")

    def _expect(self, kind: str) -> Layer:
        layer = self._layers[self._next]
        if layer.kind != kind:
            raise self._damaged(f"a layer {kind}", layer.kind)
        self._next += 1
        return layer

    def _block(self) -> None:
        """Two convolutions, the skip connection (averaged when the block shrinks), their padded sum, and ReLU."""
        skip, skip_channels, skip_side = self._value, self._channels, self._side
        self._convolution()
        self._activation()
        self._convolution()
        main, channels, side = self._value, self._channels, self._side
        self._value, self._channels, self._side = skip, skip_channels, skip_side
        if self._layers[self._next].kind == "avg_pool":
            self._average(channels)
        self._expect("add_prev")
        widest, largest = max(channels, self._channels), max(side, self._side)
        main = self._graph.zero_padded(main, channels, widest - channels, largest - side)
        skip = self._graph.zero_padded(self._value, self._channels, widest - self._channels, largest - self._side)
        self._channels, self._side = widest, largest
        self._value = self._graph.node("Add", [main, skip], f"sum{self._next}")
        self._activation()

    def _convolution(self, scale: float = 1.0, mean: NDArray[np.float64] | None = None) -> None:
        """A convolution and the affine layer after it, as one: γ·(w∗x + b) + β = (γ·w)∗x + (γ·b + β). A `mean` that is
        taken off its input goes into the biases.
        """
        number = self._next
        layer, affine = self._expect("con"), self._expect("affine")
        filters, rows, columns, stride, stride_x, padding, padding_x = layer.fields
        wanted = (filters, self._channels, rows, columns)
        if layer.weights[0].shape != wanted or layer.weights[1].size != filters or affine.weights[1].size != filters:
            raise self._damaged(f"filters of {wanted}", str(layer.weights[0].shape))
        if (
            affine.weights[0].size != filters
            or stride_x != stride
            or padding_x != padding
            or rows != columns
            or stride < 1
        ):
            raise self._damaged("a square convolution", str(layer.fields))
        factors = affine.weights[0].reshape(-1).astype(np.float64)
        weights = layer.weights[0] * factors[:, None, None, None] * scale
        biases = layer.weights[1] * factors + affine.weights[1]
        name = f"conv{number}"
        if mean is not None:
            if padding:
                raise self._damaged("a first convolution without padding", str(layer.fields))
            biases = biases - (weights * mean[:, None, None]).sum(axis=(1, 2, 3))
        inputs = [self._value]
        inputs += [self._graph.constant(f"{name}_w", weights), self._graph.constant(f"{name}_b", biases)]
        self._window("Conv", inputs, name, rows, stride, padding)
        self._channels = filters

    def _activation(self) -> None:
        self._expect("relu")
        self._value = self._graph.node("Relu", [self._value], f"relu{self._next}")

    def _pool(self, kind: Literal["max_pool", "avg_pool"]) -> None:
        rows, columns, stride, stride_x, padding, padding_x = self._expect(kind).fields
        name = f"pool{self._next}"
        if (rows, columns) == (0, 0):  # dlib: a window of no size is the whole image
            self._value, self._side = self._graph.node("GlobalAveragePool", [self._value], name), 1
            return
        if rows != columns or stride_x != stride or stride < 1 or padding or padding_x:
            raise self._damaged("square pooling without padding", f"{rows}×{columns}")
        op = "MaxPool" if kind == "max_pool" else "AveragePool"
        self._window(op, [self._value], name, rows, stride, padding)

    def _average(self, channels: int) -> None:
        """The skip connection's pooling, with its channels filled up to `channels`."""
        rows, columns, stride, stride_x, padding, padding_x = self._expect("avg_pool").fields
        if len({rows, columns, stride, stride_x}) > 1 or rows < 1 or padding or padding_x or rows > self._side:
            raise self._damaged("pooling of squares beside each other", f"{rows}×{columns}")
        more = max(channels - self._channels, 0)
        self._value = self._graph.averaged(self._value, f"pool{self._next}", self._channels, more, rows)
        self._channels, self._side = self._channels + more, self._side // rows

    def _window(self, op: str, inputs: list[str], name: str, size: int, stride: int, padding: int) -> None:
        """A node that slides a square window, and the side of what comes out."""
        self._side = 1 + (self._side + 2 * padding - size) // stride
        if self._side < 1 or size < 1 or not 0 <= padding < size:
            raise self._damaged("a window that fits its input", f"{size}×{size} with stride {stride}")
        self._value = self._graph.node(
            op, inputs, name, kernel_shape=[size, size], strides=[stride, stride], pads=[padding] * 4
        )
