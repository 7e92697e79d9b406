"""Writes networks as OpenVINO IR."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.packs.convert.openvino_ir import convert_openvino_ir


class Writer:
    """An IR, layer by layer, as OpenVINO's model optimizer writes it; `half` as its later versions store FP16."""

    def __init__(self, *, half: bool = False) -> None:
        self.layers: list[str] = []
        self.edges: list[str] = []
        self.weights = b""
        self.half = half

    def layer(self, kind: str, inputs: Sequence[int] = (), dims: Sequence[int] = (), **data: str) -> int:
        """Adds a layer, whose output has the port after its inputs'; its id."""
        number = len(self.layers)
        named = {name.replace("exclude_pad", "exclude-pad"): value for name, value in data.items()}
        attributes = " ".join(f'{name}="{value}"' for name, value in named.items())
        shown = "".join(f"<dim>{size}</dim>" for size in dims)
        ports = "".join(f'<port id="{port}">{shown}</port>' for port in range(len(inputs)))
        self.layers.append(
            f'<layer id="{number}" name="l{number}" type="{kind}" version="opset1">'
            + (f"<data {attributes}/>" if data else "")
            + (f"<input>{ports}</input>" if inputs else "")
            + f'<output><port id="{len(inputs)}" precision="FP32"/></output></layer>'
        )
        for port, source in enumerate(inputs):
            self.edges.append(f'<edge from-layer="{source}" from-port="0" to-layer="{number}" to-port="{port}"/>')
        return number

    def constant(self, values: NDArray[Any]) -> int:
        kind, name = (np.float16, "f16") if self.half else (np.float32, "f32")
        data = values.astype(kind).tobytes()
        shape = ",".join(map(str, values.shape))
        offset, size = str(len(self.weights)), str(len(data))
        self.weights += data
        number = self.layer("Const", element_type=name, shape=shape, offset=offset, size=size)
        return self.layer("Convert", [number], destination_type="f32") if self.half else number

    @property
    def xml(self) -> bytes:
        layers, edges = "".join(self.layers), "".join(self.edges)
        net = f'<net name="n" version="10"><layers>{layers}</layers><edges>{edges}</edges></net>'
        return f'<?xml version="1.0" ?>{net}'.encode()

    def converted(self) -> bytes:
        return convert_openvino_ir(self.xml, self.weights)


def small(*, half: bool = False, **changed: str) -> Writer:
    """A picture through a convolution of two groups and a PReLU with a slope for each channel."""
    ir, rng = Writer(half=half), np.random.default_rng(3)
    picture = ir.layer("Parameter", element_type="f32", shape="1,4,8,8")
    filters = ir.constant(rng.normal(size=(2, 3, 2, 3, 3)))
    data = {"strides": "1,1", "pads_begin": "1,1", "pads_end": "1,1", "dilations": "1,1"} | changed
    mixed = ir.layer("GroupConvolution", [picture, filters], (), **data)
    slopes = ir.constant(np.linspace(-1, 1, 6))
    ir.layer("Result", [ir.layer("PReLU", [mixed, slopes])], dims=(1, 6, 8, 8))
    return ir
