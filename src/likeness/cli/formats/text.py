"""`--output text`: rows of tab-separated values for awk and cut.

Keys are sorted. The scalars of a dictionary make one row, preceded by its key in upper case; nested values follow. In a
list of dictionaries, every row has the scalar keys of all of them, with empty cells for missing ones.
"""

from typing import Any, TextIO


def write(answer: Any, stream: TextIO) -> None:
    """`answer` (dictionaries, lists, scalars) as rows of text."""
    _write(answer, stream, tag=None, columns=None)


def _write(value: Any, stream: TextIO, *, tag: str | None, columns: list[str] | None) -> None:
    if isinstance(value, dict):
        _write_dictionary(value, stream, tag, columns)
    elif isinstance(value, list):
        _write_list(value, stream, tag)
    else:
        stream.write(f"{value}\n")


def _write_dictionary(value: dict[str, Any], stream: TextIO, tag: str | None, columns: list[str] | None) -> None:
    if columns is None:
        columns = [key for key in sorted(value) if not isinstance(value[key], (dict, list))]
        nested = [key for key in sorted(value) if key not in columns]
    else:
        nested = sorted(set(value) - set(columns))
    row = [str(value.get(key, "")) for key in columns]
    if row:
        stream.write("\t".join(row if tag is None else [tag.upper(), *row]) + "\n")
    for key in nested:
        _write(value[key], stream, tag=key, columns=None)


def _write_list(values: list[Any], stream: TextIO, tag: str | None) -> None:
    if any(isinstance(value, dict) for value in values):
        columns = _scalar_keys(values)
        for value in values:
            _write(value, stream, tag=tag, columns=columns)
        return
    scalars = [value for value in values if not isinstance(value, list)]
    if scalars and tag is None:
        stream.write("\t".join(str(value) for value in scalars) + "\n")
    else:
        stream.writelines(f"{str(tag).upper()}\t{value}\n" for value in scalars)
    for value in values:
        if isinstance(value, list):
            _write(value, stream, tag=tag, columns=None)


def _scalar_keys(values: list[Any]) -> list[str]:
    dictionaries = [value for value in values if isinstance(value, dict)]
    return sorted({key for each in dictionaries for key, value in each.items() if not isinstance(value, (dict, list))})
