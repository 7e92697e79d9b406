"""Records → the output: JSONL, CSV or Parquet, by its suffix."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from likeness.batch.errors import BatchError
from likeness.batch.records import Record
from likeness.system.atomic_file import atomic_file, check_writable

FORMATS = (".jsonl", ".csv", ".parquet")


def check_format(output: Path, *, full: bool) -> None:
    """Raises BatchError if the output cannot be written."""
    if output.suffix.lower() not in FORMATS:
        raise BatchError(f"{output}: the output must be one of *{', *'.join(FORMATS)}")
    if full and output.suffix.lower() == ".csv":
        raise BatchError(f"{output}: --full needs *.jsonl or *.parquet; a CSV file is flat")
    try:
        check_writable(output)
    except OSError as error:
        raise BatchError(f"{output}: {error.strerror}") from error


def encode_lines(records: Iterable[Record]) -> bytes:
    """Records as JSON lines."""
    encode = msgspec.json.Encoder().encode
    return b"".join(encode(record) + b"\n" for record in records)


def read_shard(path: Path) -> Iterator[Record]:
    """The records of a shard, written with `encode_lines`. Raises BatchError if it is damaged."""
    decode = msgspec.json.Decoder(Record).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record = decode(line)
                _ = record["error"]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
                raise BatchError(
                    f"{path}, line {number}: damaged ({error}); remove this file and run again: only its pairs are "
                    "compared again"
                ) from error
            yield record


def write_output(output: Path, shards: Sequence[Path], columns: Sequence[str]) -> None:
    """Concatenates the shards in order; writes the output atomically.

    An empty table has `columns`.
    """
    if output.suffix.lower() != ".jsonl":
        write_records(output, lambda: _read(shards), columns)
        return
    with atomic_file(output) as file:
        for shard in shards:
            with shard.open("rb") as part:
                while chunk := part.read(1 << 20):
                    file.write(chunk)


def write_records(output: Path, records: Callable[[], Iterator[Record]], columns: Sequence[str]) -> None:
    """Writes records, which may be iterated twice; writes the output atomically.

    An empty table has `columns`.
    """
    with atomic_file(output) as file:
        match output.suffix.lower():
            case ".parquet":
                from likeness.batch import parquet

                parquet.write_records(file, records, columns)
            case ".csv":
                _write_csv(file, records, columns)
            case _:
                for record in records():
                    file.write(encode_lines([record]))


def _read(shards: Sequence[Path]) -> Iterator[Record]:
    for shard in shards:
        yield from read_shard(shard)


def _write_csv(file: IO[bytes], records: Callable[[], Iterator[Record]], columns: Sequence[str]) -> None:
    names = dict.fromkeys(name for record in records() for name in record)
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, list(names) or columns)
    writer.writeheader()
    for record in records():
        writer.writerow({name: _cell(value) for name, value in record.items()})
    text.flush()
    text.detach()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return msgspec.json.encode(value).decode() if isinstance(value, (dict, list)) else value
