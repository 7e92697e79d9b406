"""YAML 1.2 scalars on top of PyYAML, which implements YAML 1.1.

AWS CLI version 2 uses YAML 1.2: `yes`, `on` and `NO` are strings, `1e-05` is a number, `0o17` is octal and `017` is
seventeen. The patterns are those of the YAML 1.2 core schema (section 10.3.2), with underscores in numbers and
timestamps as in ruamel.yaml, which that program uses.
"""

import re
from collections.abc import Hashable
from typing import Any, TextIO

import yaml

# libyaml, if available, gives the same output faster.
_Emitter: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

#: More values than any request has. Aliases of aliases can make a short document expand to billions.
MOST_NODES = 100_000

_RESOLVERS: tuple[tuple[str, str, str], ...] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (
        "float",
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("int", r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+", "-+0123456789"),
    ("merge", r"<<", "<"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{2}?-[0-9]{2}?(?:[Tt]|[ \t]+)[0-9]{2}?"
        r":[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{2}?(?::[0-9]{2})?))?",
        "0123456789",
    ),
    ("value", r"=", "="),
)


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2 and refuses duplicate keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own attribute, filled below)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(
                "while constructing a mapping", node.start_mark, "found duplicate key"
            )
        return super().construct_mapping(node, deep=deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        digits = str(self.construct_scalar(node)).replace("_", "").lower()
        plain = digits.lstrip("+-")
        base = {"0b": 2, "0o": 8, "0x": 16}.get(plain[:2], 10)
        return int(digits, base)


class _Dumper(_Emitter):  # type: ignore[misc]
    """Writes YAML 1.2: quotes only strings that YAML 1.2 would read as another type."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def represent_number(self, value: float) -> Any:
        special = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}
        return self.represent_scalar("tag:yaml.org,2002:float", special.get(repr(value), repr(value)))


for _name, _pattern, _first in _RESOLVERS:
    _characters = [character if character != "\0" else "" for character in _first]
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), _characters)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Dumper.add_representer(float, _Dumper.represent_number)
_Dumper.add_multi_representer(dict, yaml.representer.SafeRepresenter.represent_dict)


def load(text: str | bytes) -> Any:
    """The value of a YAML 1.2 document. Raises yaml.YAMLError, also if it expands to more than MOST_NODES values."""
    try:
        value = yaml.load(text, Loader=_Loader)
    except (AttributeError, LookupError, TypeError, OverflowError) as error:
        # PyYAML's constructors assume that the text after a tag is of that type.
        raise yaml.YAMLError(f"a value does not fit its tag: {error}") from error
    if _size(value, {}) > MOST_NODES:
        raise yaml.YAMLError(f"the document expands to more than {MOST_NODES} values")
    return value


def _size(value: Any, known: dict[int, int]) -> int:
    """The number of values in `value` with all aliases expanded; `known` caches those of lists and dictionaries."""
    if not isinstance(value, (list, dict)):
        return 1
    if id(value) not in known:
        known[id(value)] = MOST_NODES  # a value that contains itself is infinite
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(each, known) for each in inside)
    return known[id(value)]


def dump(value: Any, stream: TextIO) -> None:
    """Writes `value` in block style with sorted keys."""
    yaml.dump(value, stream, Dumper=_Dumper, default_flow_style=False, allow_unicode=True)
