"""Writes ONNX graphs node by node, so that converters produce the same bytes on every machine.

It has what the converters need: float32 constants, nodes named after their output, a fixed operator set and IR version.
The file does not depend on the versions of the libraries that write it, so that its SHA-256 can be recorded.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from likeness.errors import PackDamaged

OPSET = 17
"""The ONNX operator set of converted networks: the newest that is compatible with the IR version below."""

IR_VERSION = 8

Shape = Sequence[int | str]
"""The dimensions of an input or output; a string names a free one."""


class GraphWriter:
    """Collects the nodes and constants of one network and serialises them."""

    def __init__(self, name: str, file: str) -> None:
        """`name` is the graph's name, `file` names the weights in errors."""
        self._name, self._file = name, file
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._byte_inputs: set[str] = set()

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds a constant (floating point as float32, the rest as int64) and returns its name.

        Raises PackDamaged if a value is not finite, as no trained network has one.
        """
        dtype = np.float32 if np.issubdtype(values.dtype, np.floating) else np.int64
        array = np.ascontiguousarray(values, dtype=dtype)
        if not np.isfinite(array).all():
            raise PackDamaged(
                f"{self._file}: the weights {name!r} have values that are not finite; fetch the file again"
            )
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds a node with one output and returns the output's name; attributes that are None are omitted."""
        given = {key: value for key, value in sorted(attributes.items()) if value is not None}
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **given))
        return output

    def split(self, value: str, sizes: Sequence[int], outputs: Sequence[str], axis: int) -> None:
        """Adds a node that splits `value` along an axis into `outputs` of these sizes."""
        inputs = [value, self.constant(f"{value}_sizes", np.array(sizes))]
        self._nodes.append(helper.make_node("Split", inputs, list(outputs), name=f"{value}_split", axis=axis))

    def pictures(self, name: str) -> str:
        """Adds an input `name` of pictures, bytes N×H×W×C, and returns the same values as float32 N×C×H×W, so that
        callers convert nothing and 8-bit operators take the bytes directly.
        """
        self._byte_inputs.add(name)
        self.node("Transpose", [name], f"{name}_by_channel", perm=[0, 3, 1, 2])
        return self.node("Cast", [f"{name}_by_channel"], f"{name}_numbers", to=TensorProto.FLOAT)

    def serialise(self, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> bytes:
        """The network as ONNX bytes; inputs and outputs map names to shapes, in which a string is a free dimension.

        Raises PackDamaged if ONNX's checker or shape inference finds an error.
        """
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(name, self._type(name), list(shape)) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="likeness")
        written = bytes(model.SerializeToString(deterministic=True))
        try:
            onnx.checker.check_model(written, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            what = str(error).splitlines()[0]
            raise PackDamaged(f"{self._file}: nodes and weights do not match ({what}); fetch the file again") from error
        return written

    def _type(self, name: str) -> int:
        return int(TensorProto.UINT8 if name in self._byte_inputs else TensorProto.FLOAT)
