"""The converters of model files to ONNX: TFLite (FlatBuffers), weights in an ELF library, bare tensors."""

import random
import struct
from functools import cache

import numpy as np

from fuzz.mutations import mutated
from fuzz.target import Target
from likeness.errors import PackDamaged
from likeness.packs.convert.elf import exported_numbers
from likeness.packs.convert.mobilefacenet import convert_mobilefacenet
from likeness.packs.convert.tflite import convert_expression, convert_face_mesh
from likeness.packs.convert.tflite_model import read_model
from likeness.packs.convert.yunet import convert_yunet

_ELF = b"\x7fELF\x02\x01\x01"
#: The bytes of MobileFaceNet's file, as the converter states them for a file that is too long.
_MOBILEFACENET = b"M"


def run(data: bytes) -> None:
    """Reads with the converter of the format, and whatever the format with those of the others."""
    if data.startswith(_ELF):
        exported_numbers(data, "library")
        convert_yunet(data)
    elif data.startswith(_MOBILEFACENET):
        convert_mobilefacenet(data[1:])
    else:
        try:
            read_model(data, "model")
        finally:
            convert_face_mesh(data)
            convert_expression(data)


def elf(names: dict[str, bytes]) -> bytes:
    """A library that exports these objects: a header, the objects, their names, their symbols, three sections."""
    values, strings = b"".join(names.values()), b"\0" + b"".join(name.encode() + b"\0" for name in names)
    at, symbols, place = 64, b"", 1
    for name, content in names.items():
        symbols += struct.pack("<IBBHQQ", place, 0x11, 0, 1, 0x1000 + at - 64, len(content))
        at, place = at + len(content), place + len(name) + 1
    strings_at, symbols_at = 64 + len(values), 64 + len(values) + len(strings)
    sections = [
        (0,) * 10,
        (0, 1, 2, 0x1000, 64, len(values), 0, 0, 4, 0),
        (0, 3, 2, 0, strings_at, len(strings), 0, 0, 1, 0),
        (0, 11, 2, 0, symbols_at, len(symbols), 2, 0, 8, 24),
    ]
    header = _ELF.ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, symbols_at + len(symbols), 0, 64, 0, 0, 64, 4, 0
    )
    return header + values + strings + symbols + b"".join(struct.pack("<IIQQQQIIQQ", *each) for each in sections)


@cache
def tflite() -> bytes:
    """A TFLite file of one operator, with a constant."""
    import flatbuffers

    builder = flatbuffers.Builder(0)

    def table(fields: dict[int, tuple[str, int]]) -> int:
        builder.StartObject(12)
        for number, (kind, value) in fields.items():
            getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
        return int(builder.EndObject())

    def offsets(tables: list[int]) -> int:
        builder.StartVector(4, len(tables), 4)
        for each in reversed(tables):
            builder.PrependUOffsetTRelative(each)
        return int(builder.EndVector())

    far = "UOffsetTRelative"
    content = builder.CreateNumpyVector(np.ones(8, "u1"))
    buffers = offsets([table({}), table({0: (far, content)})])
    scales, zeros = builder.CreateNumpyVector(np.ones(2, "<f4")), builder.CreateNumpyVector(np.zeros(2, "<i8"))
    quantisation = table({2: (far, scales), 3: (far, zeros), 6: ("Int32", 0)})
    tensors = []
    for name, shape, kind, number in (("in", [1, 192, 192, 3], 0, 0), ("w", [2, 4], 9, 1), ("out", [1, 1404], 0, 0)):
        text, sides = builder.CreateString(name), builder.CreateNumpyVector(np.array(shape, "<i4"))
        more = {4: (far, quantisation)} if kind == 9 else {}
        tensors.append(table({0: (far, sides), 1: ("Int8", kind), 2: ("Uint32", number), 3: (far, text), **more}))
    listed = offsets(tensors)
    inputs, outputs = (builder.CreateNumpyVector(np.array(each, "<i4")) for each in ([0, 1], [2]))
    operators = offsets([table({0: ("Uint32", 0), 1: (far, inputs), 2: (far, outputs)})])
    first, last = (builder.CreateNumpyVector(np.array(each, "<i4")) for each in ([0], [2]))
    graphs = offsets([table({0: (far, listed), 1: (far, first), 2: (far, last), 3: (far, operators)})])
    codes = offsets([table({0: ("Int8", 34)})])
    builder.Finish(table({0: ("Uint32", 3), 1: (far, codes), 2: (far, graphs), 4: (far, buffers)}), b"TFL3")
    return bytes(builder.Output())


def seeds() -> list[bytes]:
    """A file of each format."""
    weights = np.ones(16, "<f4").tobytes()
    library = elf({"backbone__model0_dp_pw_bias": weights, "odd": b"abc", "backbone__model0_pw_bias": weights})
    return [tflite(), library, _MOBILEFACENET + bytes(4000)]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Mostly numbers: offsets, counts and kinds."""
    if chance.random() < 0.4:
        return mutated(data, chance)
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = 4 * chance.randrange(max(1, len(made) // 4))
        value = chance.choice(
            (0, 1, 2, 4, 8, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(len(made) + 1))
        )
        made[place : place + 4] = value.to_bytes(4, "little")
    return bytes(made)


TARGET = Target(run, (PackDamaged,), seeds, mutate=mutate, max_bytes=16 * 1024)
