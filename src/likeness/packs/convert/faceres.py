"""HSE's face network (`faceres.bin`, weights of a TensorFlow.js graph) → ONNX.

A MobileNet (Howard et al., 2017, arXiv:1704.04861) that was trained on VGGFace2 to tell people apart, and then given
two heads for age and sex, which are left out here: Savchenko, "Efficient facial representations for age, gender and
identity recognition in organizing photo albums using multi-output ConvNet", PeerJ Computer Science 5:e197, 2019.

The file holds its tensors one after the other, little end first, as float16; their order and shapes, which the graph's
description beside it (`faceres.json`, `weightsManifest`) lists, follow from the network:

    heads     matrices and biases of age (256×100), of the layer that both heads share (1024×256), of sex (256×1)
    conv1     3×3 filters and biases, then the two ends of its ReLU, 6 and 0
    thirteen times
      conv_dw 3×3 filters, one a channel, their factors and biases, 6 and 0
      conv_pw 1×1 filters and biases, 6 and 0
    the axes of the mean over all places, 1 and 2: the only int32

Convolutions of stride 2 append a row and a column to what they slide over (TensorFlow's padding "SAME" on even sides).
What the network takes off the colours goes into the first biases, so what is appended there is black, not of the mean
colour: the cosine to the vector of the original is 0.9994 or more (tests/packs/convert/test_faceres.py).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.graph import GraphWriter

CHIP_SIDE_PX = 224
EMBEDDING_SIZE = 1024
_FILE = "HSE face network"
#: The mean colours, R, G, B, that MobileNet's preprocessing in the style of Caffe takes off (keras.applications,
#: imagenet_utils; the network wants B, G, R).
MEAN_RGB = (123.68, 116.779, 103.939)
_HEADS = 256 * 100 + 100 + 1024 * 256 + 256 + 256 + 1
#: Outputs of each pair of convolutions, and where the first of a pair has stride 2 (the paper, table 1).
_FIRST_CHANNELS = 32
_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_SHRINKING = (2, 4, 6, 12)
#: The values behind each convolution, from 0 to 6, and how many channels they have.
RELUS = (
    "conv1_relu",
    *(f"{kind}{number}_relu" for number in range(1, len(_CHANNELS) + 1) for kind in ("depth", "point")),
)
WIDTHS = (
    _FIRST_CHANNELS,
    *(width for pair in zip((_FIRST_CHANNELS, *_CHANNELS), _CHANNELS, strict=False) for width in pair),
)
_END = np.array([1, 2], "<i4").tobytes()


class _Tensors:
    """Takes tensors off the file one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self, *shape: int) -> NDArray[np.float64]:
        """The next tensor, of this shape; PackDamaged where the file ends before it does."""
        count = int(np.prod(shape))
        if self.position + 2 * count > len(self._data):
            raise PackDamaged(f"{_FILE}: the file ends at byte {len(self._data)}; fetch it again")
        values = np.frombuffer(self._data, "<f2", count, self.position)
        self.position += values.nbytes
        return values.astype(np.float64).reshape(shape)

    def ends_of_relu(self) -> None:
        """Two numbers, 6 and 0; PackDamaged for others, with which everything that follows is something else."""
        if not np.array_equal(self.take(2), (6.0, 0.0)):
            raise PackDamaged(f"{_FILE}: expected 6 and 0 before byte {self.position}; fetch the file again")


def convert_faceres(data: bytes, *, side_px: int = CHIP_SIDE_PX) -> bytes:
    """The network as ONNX, in single precision.

    Input `chips`: N×side×side×3 bytes, RGB; the network works with any multiple of 32. Output
    `embeddings`: N×1024 float32, the means over all places, not of unit length. The same bytes give the same ONNX bytes
    everywhere. Raises PackDamaged when `data` is not that network.
    """
    tensors, graph = _Tensors(data), GraphWriter("faceres", _FILE)
    tensors.take(_HEADS)
    filters, biases = tensors.take(3, 3, 3, _FIRST_CHANNELS)[:, :, ::-1], tensors.take(_FIRST_CHANNELS)
    tensors.ends_of_relu()
    biases = biases - np.einsum("hwco,c->o", filters, np.array(MEAN_RGB))
    value = _convolution(graph, graph.pictures("chips"), "conv1", filters.transpose(3, 2, 0, 1), biases, stride=2)
    channels = _FIRST_CHANNELS
    for number, more in enumerate(_CHANNELS, start=1):
        filters, factors = tensors.take(3, 3, channels, 1)[..., 0], tensors.take(channels)
        biases = tensors.take(channels)
        tensors.ends_of_relu()
        each = (filters * factors).transpose(2, 0, 1)[:, np.newaxis]
        value = _convolution(graph, value, f"depth{number}", each, biases, stride=2 if number in _SHRINKING else 1)
        filters, biases = tensors.take(1, 1, channels, more), tensors.take(more)
        tensors.ends_of_relu()
        value = _convolution(graph, value, f"point{number}", filters.transpose(3, 2, 0, 1), biases)
        channels = more
    if data[tensors.position :] != _END:
        raise PackDamaged(
            f"{_FILE}: expected only the axes 1 and 2 behind byte {tensors.position}; fetch the file again"
        )
    pooled = graph.node("GlobalAveragePool", [value], "pooled")
    graph.node("Flatten", [pooled], "embeddings", axis=1)
    return graph.serialise({"chips": ["N", side_px, side_px, 3]}, {"embeddings": ["N", EMBEDDING_SIZE]})


def _convolution(
    graph: GraphWriter,
    value: str,
    name: str,
    filters: NDArray[np.float64],
    biases: NDArray[np.float64],
    stride: int = 1,
) -> str:
    """A convolution and the ReLU behind it, which ends at 6."""
    size = filters.shape[2]
    inputs = [value, graph.constant(f"{name}_w", filters), graph.constant(f"{name}_b", biases)]
    pads: Sequence[int] = [0, 0, 1, 1] if stride == 2 else [size // 2] * 4
    group = len(filters) if filters.shape[1] == 1 else 1
    graph.node("Conv", inputs, name, kernel_shape=[size, size], strides=[stride, stride], pads=list(pads), group=group)
    ends = [graph.constant("least", np.array(0.0)), graph.constant("most", np.array(6.0))]
    return graph.node("Clip", [name, *ends], f"{name}_relu")
