"""The FlatBuffers reader against files that the flatbuffers package writes."""

from contextlib import suppress

import flatbuffers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.errors import PackDamaged
from likeness.packs.convert.flatbuffer import Buffer, Table


def written(number: int, texts: list[str], values: list[float]) -> bytes:
    """A table of: 0 an int32, 1 never set, 2 a vector of tables each with a text, 3 a vector of float32."""
    builder = flatbuffers.Builder(0)
    tables = []
    for text in texts:
        content = builder.CreateString(text)
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, content, 0)
        tables.append(builder.EndObject())
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    vector = builder.EndVector()
    floats = builder.CreateNumpyVector(np.array(values, "<f4"))
    builder.StartObject(4)
    builder.PrependInt32Slot(0, number, 0)
    builder.PrependUOffsetTRelativeSlot(2, vector, 0)
    builder.PrependUOffsetTRelativeSlot(3, floats, 0)
    builder.Finish(builder.EndObject(), b"TEST")
    return bytes(builder.Output())


def read(data: bytes) -> tuple[int, int, list[str], list[float]]:
    root: Table = Buffer(data, "a test").root(b"TEST")
    texts = [table.text(0, "a text") for table in root.tables(2, "texts")]
    return root.integer(0, "i", "n"), root.integer(1, "i", "absent", 7), texts, list(root.vector(3, "<f4", "values"))


@given(
    st.integers(-(2**31), 2**31 - 1),
    st.lists(st.text(max_size=9), max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), max_size=9),
)
def test_reads_what_the_package_writes(number: int, texts: list[str], values: list[float]) -> None:
    assert read(written(number, texts, values)) == (number, 7, texts, values)


@given(st.data())
def test_damage_is_read_as_something_or_refused(draw: st.DataObject) -> None:
    data = bytearray(written(5, ["a", "bc"], [1.0, 2.0]))
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(data[: draw.draw(st.integers(0, len(data)))])
    with suppress(PackDamaged):  # anything else that is raised fails the test
        assert len(read(cut)[2]) <= len(cut)


def test_another_identifier_is_refused() -> None:
    with pytest.raises(PackDamaged, match="expected the identifier OTHR"):
        Buffer(written(1, [], []), "a test").root(b"OTHR")
