"""TOML tables: reading with errors that name the place, and writing."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from likeness.errors import PackInvalid

_Kind = TypeVar("_Kind")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def read_table(kind: type[_Kind], table: object, place: str) -> _Kind:
    """`table` as the msgspec type `kind`; PackInvalid, with the `place` of the table, for what does not fit it."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$.", "`")
        hint = get_type_hints(kind).get(text.partition(" - at `")[2].rstrip("`")) if "enum" in text else None
        choices = [choice for each in (hint, *get_args(hint)) for choice in get_args(each) if isinstance(choice, str)]
        known = f"; known are {', '.join(choices)}" if choices else ""
        raise PackInvalid(f"{place}: {text}{known}") from error


def to_toml(table: Mapping[str, Any]) -> str:
    """`table` (str, bool, int, finite float, lists and tables of them) as TOML that `tomllib` reads back unchanged.

    The standard library does not write TOML. Values precede sub-tables; lists of tables become [[sections]].
    """
    return "\n".join(_section(table, ())).strip() + "\n"


def _section(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not _is_section(value)]
    for key, value in table.items():
        if not _is_section(value):
            continue
        inner = (*path, key)
        name = ".".join(_key(part) for part in inner)
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_section(value, inner)]
        else:
            for row in value:
                lines += ["", f"[[{name}]]", *_section(row, inner)]
    return lines


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)
    )


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _text(key)


def _text(value: str) -> str:
    # JSON's escapes are a subset of TOML's, but TOML, unlike JSON, does not allow DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(_value(v) for v in value) + "]"
        case _:
            raise TypeError(f"a manifest cannot hold {value!r}")
