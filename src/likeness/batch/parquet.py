"""Reads and writes Parquet with pyarrow."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from likeness.batch.errors import BatchError

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise BatchError("Parquet needs pyarrow: pip install 'likeness[parquet]'") from error

_ROWS_AT_ONCE = 8192
#: The types of the columns that the batch writes.
_TYPES = {
    "similarity": pa.float32(),
    "matched": pa.bool_(),
    "matches": pa.int32(),
    "unmatched": pa.int32(),
    **dict.fromkeys(("error", "reason", "answer", "decision", "note"), pa.string()),
}


def read_rows(path: Path, check: Callable[[Sequence[str]], None] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a file; `check` is called with its columns. Values without a JSON type become strings."""
    try:
        with pq.ParquetFile(path) as file:
            if check is not None:
                check(file.schema_arrow.names)
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    yield {name: _plain(value) for name, value in row.items()}
    except (pa.ArrowException, ValueError, OverflowError) as error:  # also times that Python has no object for
        raise BatchError(f"{path} cannot be read as Parquet: {error}") from error


def write_records(file: IO[bytes], records: Callable[[], Iterator[dict[str, Any]]], columns: Sequence[str]) -> None:
    """Writes records in two passes: first the types of the columns, which are strings if types vary.

    An empty table has `columns`.
    """
    schema = _schema(records()) or pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])
    rest = records()
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while rows := list(islice(rest, _ROWS_AT_ONCE)):
            columns = [_column([row.get(field.name) for row in rows], field.type) for field in schema]
            writer.write_table(pa.table(columns, schema=schema))


def _schema(records: Iterator[dict[str, Any]]) -> pa.Schema:
    kinds: dict[str, set[type]] = {}
    for record in records:
        for name, value in record.items():
            kinds.setdefault(name, set()).add(type(value))
    return pa.schema([(name, _TYPES.get(name) or _type_of(found - {type(None)})) for name, found in kinds.items()])


def _type_of(kinds: set[type]) -> pa.DataType:
    known = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    if kinds == {int, float}:
        return pa.float64()
    return known.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        values = [
            each if each is None or isinstance(each, str) else msgspec.json.encode(each).decode() for each in values
        ]
    return pa.array(values, kind)


def _plain(value: Any) -> Any:
    if isinstance(value, (date, time, Decimal)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value
