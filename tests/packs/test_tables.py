"""TOML that we write reads back unchanged."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.errors import PackInvalid
from likeness.packs.tables import Table, to_toml

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


def test_errors_name_the_manifest_the_table_and_the_key() -> None:
    table = Table("pack/manifest.toml", "roles.mesh", {"size": "large", "flag": 1, "number": True})
    for read, message in [
        (lambda: table.integer("size"), r"pack/manifest.toml: \[roles.mesh\] size must be a whole number, not 'large'"),
        (lambda: table.text("absent"), "needs 'absent'"),
        (lambda: table.flag("flag"), "flag must be true or false"),
        (lambda: table.number("number"), "number must be a number"),
        (lambda: table.only("size"), "has the key 'flag'"),
    ]:
        with pytest.raises(PackInvalid, match=message):
            read()
