"""YuNet, from the library of libfacedetection, → ONNX.

The library (https://github.com/ShiqiYu/libfacedetection, file src/facedetectcnn-data.cpp) exports its weights as arrays
of float32 named after their layers: `backbone__model3_dp1_pw_weight` and so on. They are those of OpenCV's
`face_detection_yunet_2023mar.onnx`, rounded to three digits (tests/packs/convert/test_yunet.py). Their order in memory,
from src/facedetectcnn.cpp: the first convolution by output, row, column, colour (blue, green, red), each output's 27
weights padded to 32; pointwise ones by output, then input; depthwise ones by position, then channel.

The network (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) halves the picture with a 3×3
convolution; all other layers are units of a pointwise and a depthwise 3×3 convolution without an activation in
between. It halves five times; the last three sizes (strides 8, 16, 32) are merged from the coarsest up, and each has
four heads. These are written as one head of 16 channels, which fills ONNX Runtime's blocked layout; separate heads
would each be padded to 16 channels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.elf import exported_numbers
from likeness.packs.convert.graph import GraphWriter, Shape
from likeness.vision.yunet import STRIDES

_FILE = "YuNet's weights (libfacedetection.so)"
_WIDTH = 64
#: Values per cell, in the order in which `likeness.vision.yunet` reads them.
_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_CONFIDENCES = ("cls", "obj")
_FIRST = (16, 32)
"""Outputs of the first convolution, and how many values each has in memory."""


def convert_yunet(data: bytes) -> bytes:
    """The library's network as ONNX.

    Input `picture`: 1×H×W×3 bytes, RGB, sides multiples of 32. Outputs, for strides 8, 16 and 32 each: `cls`, `obj`
    (confidences, 1×cells×1), then `bbox` (1×cells×4) and `kps` (1×cells×10).
    The same bytes give the same ONNX bytes everywhere. Raises PackDamaged if `data` has no such weights.
    """
    return _YuNetWriter(exported_numbers(data, _FILE)).write()


class _YuNetWriter:
    """Writes the graph from the picture to the heads."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = weights
        self._graph = GraphWriter("yunet", _FILE)

    def write(self) -> bytes:
        value = self._unit(self._first(self._graph.pictures("picture")), "backbone__model0_dp", 16, 16)
        value = self._stage(self._pooled(value), 1, (16, 16, 32))
        value = self._stage(value, 2, (32, 32, _WIDTH))
        sizes = []
        for stage in (3, 4, 5):
            value = self._stage(self._pooled(value), stage, (_WIDTH,) * 3)
            sizes.append(value)
        self._join(sizes)
        for at, stride in enumerate(STRIDES):
            self._head(sizes[at], at, stride)
        outputs: dict[str, Shape] = {
            f"{kind}_{stride}": [1, f"cells_{stride}", values] for kind, values in _HEADS.items() for stride in STRIDES
        }
        return self._graph.serialise({"picture": [1, "height", "width", 3]}, outputs)

    def _taken(self, name: str, *shape: int) -> NDArray[np.float32]:
        values = self._weights.get(name)
        if values is None or values.size != np.prod(shape):
            found = "none" if values is None else values.size
            raise PackDamaged(f"{_FILE}: expected {np.prod(shape)} numbers {name}, found {found}; fetch the file again")
        return values.reshape(shape)

    def _first(self, value: str) -> str:
        outputs, filled = _FIRST
        by_place = self._taken("backbone__model0_pw_weight", outputs, filled)[:, :27].reshape(outputs, 3, 3, 3)
        weights = by_place.transpose(0, 3, 1, 2)[:, ::-1]  # blue, green, red → red, green, blue
        biases = self._taken("backbone__model0_pw_bias", outputs)
        halved = self._convolution(value, "halved", weights, biases, strides=[2, 2])
        return self._graph.node("Relu", [halved], "halved_relu")

    def _stage(self, value: str, stage: int, channels: tuple[int, int, int]) -> str:
        for number in (1, 2):
            value = self._unit(value, f"backbone__model{stage}_dp{number}", *channels[number - 1 : number + 1])
        return value

    def _unit(self, value: str, name: str, inputs: int, outputs: int) -> str:
        spread = self._spread(value, name, self._weights_of(name, inputs, outputs))
        return self._graph.node("Relu", [spread], f"{name}_relu")

    def _weights_of(self, name: str, inputs: int, outputs: int) -> list[NDArray[np.float32]]:
        """Filters and biases of a unit's pointwise and depthwise convolution, by output."""
        return [
            self._taken(f"{name}_pw_weight", outputs, inputs, 1, 1),
            self._taken(f"{name}_pw_bias", outputs),
            self._taken(f"{name}_dw_weight", 9, outputs).T.reshape(outputs, 1, 3, 3),
            self._taken(f"{name}_dw_bias", outputs),
        ]

    def _spread(self, value: str, name: str, weights: Sequence[NDArray[np.float32]]) -> str:
        """A unit with these weights, without its ReLU."""
        pointwise, mixed_biases, depthwise, biases = weights
        mixed = self._convolution(value, f"{name}_pw", pointwise, mixed_biases)
        return self._convolution(mixed, f"{name}_dw", depthwise, biases, group=len(depthwise))

    def _convolution(
        self,
        value: str,
        name: str,
        weights: NDArray[np.float32],
        biases: NDArray[np.float32],
        *,
        strides: list[int] | None = None,
        group: int = 1,
    ) -> str:
        """A convolution with padding that keeps the size, except for strides."""
        side = weights.shape[2]
        inputs = [value, self._graph.constant(f"{name}_w", weights), self._graph.constant(f"{name}_b", biases)]
        pads = [side // 2] * 4
        return self._graph.node(
            "Conv", inputs, name, kernel_shape=[side, side], pads=pads, strides=strides, group=group
        )

    def _pooled(self, value: str) -> str:
        return self._graph.node("MaxPool", [value], f"{value}_pooled", kernel_shape=[2, 2], strides=[2, 2])

    def _join(self, sizes: list[str]) -> None:
        """Adds to each size the features of the next coarser one and applies a unit, in place."""
        twice = self._graph.constant("twice", np.array([1, 1, 2, 2], np.float32))
        for at in (2, 1, 0):
            if at < 2:
                larger = self._graph.node(
                    "Resize",
                    [sizes[at + 1], "", twice],
                    f"larger{at}",
                    mode="nearest",
                    coordinate_transformation_mode="asymmetric",
                    nearest_mode="floor",
                )
                sizes[at] = self._graph.node("Add", [sizes[at], larger], f"joined{at}")
            sizes[at] = self._unit(sizes[at], f"neck__lateral_convs__{at}", _WIDTH, _WIDTH)

    def _head(self, value: str, at: int, stride: int) -> None:
        """Adds the outputs of all heads of one size, by cell, named after kind and stride."""
        of_kinds = [
            self._weights_of(f"bbox_head__multi_level_{kind}__{at}", _WIDTH, values) for kind, values in _HEADS.items()
        ]
        together = [np.concatenate(parts) for parts in zip(*of_kinds, strict=True)]
        seen = self._spread(value, f"head_{stride}", together)
        last = self._graph.node("Transpose", [seen], f"head_{stride}_last", perm=[0, 2, 3, 1])
        shape = self._graph.constant("cells_shape", np.array([1, -1, sum(_HEADS.values())]))
        cells = self._graph.node("Reshape", [last, shape], f"head_{stride}_cells")
        parts = [f"{kind}_{stride}_logits" if kind in _CONFIDENCES else f"{kind}_{stride}" for kind in _HEADS]
        self._graph.split(cells, list(_HEADS.values()), parts, axis=2)
        for kind in _CONFIDENCES:
            self._graph.node("Sigmoid", [f"{kind}_{stride}_logits"], f"{kind}_{stride}")
