"""Networks as OpenVINO IR: a graph in XML, a zero byte, and the weights."""

from tests.packs.convert.ir_writer import Writer, small

from fuzz.target import Target
from likeness.errors import PackDamaged
from likeness.packs.convert.openvino_ir import convert_openvino_ir


def run(data: bytes) -> None:
    """The network as ONNX."""
    xml, _, weights = data.partition(b"\0")
    convert_openvino_ir(xml, weights)


def seeds() -> list[bytes]:
    """A small network in both precisions, one with its padding left to the reader, and one without layers."""
    return [each.xml + b"\0" + each.weights for each in (small(), small(half=True), small(auto_pad="valid"), Writer())]


TARGET = Target(
    run,
    (PackDamaged,),
    seeds,
    tokens=(
        *(f'type="{kind}"'.encode() for kind in ("Add", "AvgPool", "Const", "Convert", "Convolution")),
        *(f'type="{kind}"'.encode() for kind in ("GroupConvolution", "Multiply", "PReLU", "Result", "Sigmoid")),
        *(
            b'offset="',
            b'size="',
            b'shape="',
            b"1,1,1,1",
            b'element_type="f16"',
            b'from-layer="0"',
            b"<dim>",
            b"<data ",
        ),
    ),
    max_bytes=16 * 1024,
)
