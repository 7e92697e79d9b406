"""TOML tables: reading with errors that name the place, and writing."""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from likeness.errors import PackInvalid

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def is_number(value: Any) -> bool:
    """Whether a TOML value is a float, or an integer that a float can hold."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max)


@dataclass(frozen=True, slots=True)
class Table:
    """A TOML table with its name for errors."""

    manifest: str
    name: str
    values: Mapping[str, Any]

    def wrong(self, what: str) -> PackInvalid:
        return PackInvalid(f"{self.manifest}: [{self.name}] {what}")

    def only(self, *keys: str) -> None:
        for key in self.values:
            if key not in keys:
                raise self.wrong(f"has the key {key!r}, which is not one of {', '.join(keys)}")

    def _get(self, key: str, kind: type | tuple[type, ...], what: str, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(f"needs {key!r}")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(f"{key} must be {what}, not {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        return cast(str, self._get(key, str, "text", default))

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        value = self.text(key)
        if not pattern.match(value):
            raise self.wrong(f"{key} must be {what}, not {value!r}")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        return cast(int, self._get(key, int, "a whole number", default))

    def number(self, key: str, default: float | None = None) -> float:
        value = self._get(key, (int, float), "a number", default)
        if not is_number(value):
            raise self.wrong(f"{key} is too large for a float")
        return float(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        return cast(bool, self._get(key, bool, "true or false", default))

    def numbers(self, key: str, count: int | None = None) -> tuple[float, ...]:
        values: Sequence[Any] = self._get(key, list, "a list of numbers", None)
        if not all(is_number(v) for v in values) or (count is not None and len(values) != count):
            raise self.wrong(f"{key} must be a list of {count or 'only'} numbers")
        return tuple(float(v) for v in values)

    def all_numbers(self) -> Mapping[str, float]:
        return MappingProxyType({key: self.number(key) for key in self.values})

    def table(self, key: str) -> "Table":
        value = self._get(key, dict, "a table", None)
        return Table(self.manifest, f"{self.name}.{key}".lstrip("."), value)

    def tables(self, key: str) -> dict[str, "Table"]:
        if key not in self.values:
            return {}
        outer = self.table(key)
        return {inner: outer.table(inner) for inner in outer.values}

    def list_of_tables(self, key: str) -> list["Table"]:
        if key not in self.values:
            return []
        rows = self._get(key, list, "a list of tables", None)
        if not all(isinstance(row, dict) for row in rows):
            raise self.wrong(f"{key} must be a list of tables")
        return [Table(self.manifest, f"{key}[{i}]", row) for i, row in enumerate(rows)]


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
