"""Reads TFLite files: tensors, operators and their options, as far as the face mesh and the expression network need.

The file is a FlatBuffer with the identifier TFL3; tables, field numbers and codes are those of TensorFlow's schema
(tensorflow/compiler/mlir/lite/schema/schema.fbs). float16 and int8 weights become float32: float16 exactly, int8 by
scale · (q − zero point), as in the runtime.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.flatbuffer import Buffer, Table

_TYPES = {0: "<f4", 1: "<f2", 2: "<i4", 9: "i1"}
"""TensorType of the schema, as far as these networks use it."""

_OPERATORS = {
    0: "ADD",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    17: "MAX_POOL_2D",
    25: "SOFTMAX",
    34: "PAD",
    40: "MEAN",
    54: "PRELU",
}
"""BuiltinOperator of the schema."""

MAX_SIDE = 1 << 16
"""Far above the pictures of these networks; a damaged size must not allocate gigabytes."""


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape (pictures N×H×W×C) and, if it is a constant, its values as float32 or int32."""

    name: str
    shape: tuple[int, ...]
    values: NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """One operator: its name in the schema, the indices of its tensors, and its options table."""

    name: str
    inputs: list[int]
    outputs: list[int]
    options: Table | None

    def option(self, number: int, code: str, default: int = 0) -> int:
        """An integer option; its default without an options table."""
        return (
            default
            if self.options is None
            else self.options.integer(number, code, f"an option of {self.name}", default)
        )


@dataclass(frozen=True)
class Model:
    """The first subgraph of a TFLite file."""

    file: str
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]

    def damaged(self, expected: str) -> PackDamaged:
        """The error for a network that is not as expected."""
        return PackDamaged(f"{self.file}: expected {expected}; the file is damaged or another network, fetch it again")


def read_model(data: bytes, file: str) -> Model:
    """The network in the bytes of a TFLite file; `file` names it in errors.

    Raises PackDamaged if the bytes are not a TFLite file or use unknown operators.
    """
    root = Buffer(data, file).root(b"TFL3")
    codes = [_operator_name(code, file) for code in root.tables(1, "the operator codes")]
    subgraphs = root.tables(2, "the subgraphs")
    buffers = root.tables(4, "the buffers")
    if len(subgraphs) != 1:
        raise PackDamaged(f"{file}: expected one subgraph, found {len(subgraphs)}; fetch the file again")
    graph = subgraphs[0]
    tensors = [_read_tensor(table, buffers, file) for table in graph.tables(0, "the tensors")]
    operators = [_read_operator(table, codes, len(tensors), file) for table in graph.tables(3, "the operators")]
    inputs = _indices(graph, 1, "the network's inputs", len(tensors), file)
    outputs = _indices(graph, 2, "the network's outputs", len(tensors), file)
    return Model(file, tensors, operators, inputs, outputs)


def _operator_name(table: Table, file: str) -> str:
    # The byte field is the older one and is 127 if the code is in the newer field.
    code = max(table.integer(0, "b", "an operator code"), table.integer(3, "i", "an operator code"))
    if code not in _OPERATORS:
        raise PackDamaged(f"{file}: expected one of the operators {', '.join(_OPERATORS.values())}, found code {code}")
    return _OPERATORS[code]


def _indices(table: Table, number: int, expected: str, count: int, file: str) -> list[int]:
    indices = [int(index) for index in table.vector(number, "<i4", expected)]
    if any(not 0 <= index < count for index in indices):
        raise PackDamaged(f"{file}: expected {expected} among {count} tensors, found {indices}; fetch the file again")
    return indices


def _read_operator(table: Table, codes: list[str], count: int, file: str) -> Operator:
    code = table.integer(0, "I", "an operator")
    if code >= len(codes):
        raise PackDamaged(f"{file}: expected an operator code under {len(codes)}, found {code}; fetch the file again")
    inputs = _indices(table, 1, "an operator's inputs", count, file)
    outputs = _indices(table, 2, "an operator's outputs", count, file)
    if not inputs or len(outputs) != 1:
        raise PackDamaged(f"{file}: expected {codes[code]} to have inputs and one output; fetch the file again")
    return Operator(codes[code], inputs, outputs, table.table(4, "an operator's options"))


def _read_tensor(table: Table, buffers: list[Table], file: str) -> Tensor:
    name = table.text(3, "a tensor's name")
    shape = tuple(int(side) for side in table.vector(0, "<i4", f"the shape of {name}"))
    if any(not 1 <= side <= MAX_SIDE for side in shape):
        raise PackDamaged(f"{file}: expected sides of 1 to {MAX_SIDE} for {name}, found {shape}; fetch the file again")
    kind = table.integer(1, "b", f"the type of {name}")
    number = table.integer(2, "I", f"the buffer of {name}")
    if kind not in _TYPES or number >= len(buffers):
        raise PackDamaged(f"{file}: expected a known type and a buffer for {name}, found type {kind}, buffer {number}")
    raw = buffers[number].vector(0, "u1", f"the values of {name}").tobytes()
    if not raw:
        return Tensor(name, shape, None)
    dtype = np.dtype(_TYPES[kind])
    if len(raw) != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise PackDamaged(f"{file}: expected {shape} values for {name}, found {len(raw)} bytes; fetch the file again")
    return Tensor(name, shape, _dequantised(table, np.frombuffer(raw, dtype).reshape(shape), name, file))


def _dequantised(table: Table, values: NDArray[Any], name: str, file: str) -> NDArray[Any]:
    """Constants as the runtime uses them: int8 by their scales (one, or one per slice), float16 as float32."""
    if values.dtype == np.int32:
        return values
    quantisation = table.table(4, f"the quantisation of {name}")
    if values.dtype != np.int8 or quantisation is None:
        return values.astype(np.float32)
    scales = quantisation.vector(2, "<f4", f"the scales of {name}").astype(np.float32)
    zeros = quantisation.vector(3, "<i8", f"the zero points of {name}").astype(np.float32)
    axis = quantisation.integer(6, "i", f"the quantised dimension of {name}")
    if not 0 <= axis < values.ndim or scales.size not in (1, values.shape[axis]) or zeros.size != scales.size:
        raise PackDamaged(
            f"{file}: expected a scale for each slice of {name}, found {scales.size}; fetch the file again"
        )
    around = [1] * values.ndim
    around[axis] = scales.size
    return (values.astype(np.float32) - zeros.reshape(around)) * scales.reshape(around)
