"""TOML that we write reads back unchanged."""

import tomllib
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from likeness.errors import PackInvalid
from likeness.packs.tables import read_table, to_toml

scalars = (
    st.text(max_size=20)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), values, max_size=5))
def test_what_is_written_is_read_back(table: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(table)) == table


def test_sections_look_as_people_write_them() -> None:
    text = to_toml({"pack": {"name": "x"}, "files": {"a.onnx": {"size": 3}}, "accuracy": [{"value": 0.5}]})
    assert text == '[pack]\nname = "x"\n\n[files]\n\n[files."a.onnx"]\nsize = 3\n\n[[accuracy]]\nvalue = 0.5\n'


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), object(), b"bytes"])
def test_what_toml_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        to_toml({"key": value})


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    """A table."""

    size: int
    colour: Literal["rgb", "bgr"] = "rgb"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"size": "large"}, "own.toml: [role]: Expected `int`, got `str` - at `size`"),
        ({"size": True}, "own.toml: [role]: Expected `int`, got `bool` - at `size`"),
        ({}, "own.toml: [role]: Object missing required field `size`"),
        ({"size": 1, "shape": 2}, "own.toml: [role]: Object contains unknown field `shape`"),
        (
            {"size": 1, "colour": "grey"},
            "own.toml: [role]: Invalid enum value 'grey' - at `colour`; known are rgb, bgr",
        ),
    ],
)
def test_errors_name_the_manifest_the_table_and_the_key(table: dict[str, object], message: str) -> None:
    with pytest.raises(PackInvalid) as refused:
        read_table(Example, table, "own.toml: [role]")
    assert str(refused.value) == message
