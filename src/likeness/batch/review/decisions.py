"""Reviewers' decisions about pairs: read from the CSV file that a review page exports, written into the output."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from likeness.batch.columns import written_columns
from likeness.batch.errors import BatchError, unreadable
from likeness.batch.outputs import write_records
from likeness.batch.records import Record
from likeness.batch.rows import TableRows
from likeness.system.bounded_file import check_regular

DECISIONS = ("accept", "reject", "defer")


@dataclass(frozen=True, slots=True)
class Decision:
    """A reviewer's decision about a pair, and the note."""

    decision: str
    note: str


def read_decisions(path: Path) -> dict[tuple[str, str], Decision]:
    """Decisions by source and target. Raises BatchError if the file is not the export of a review."""
    found: dict[tuple[str, str], Decision] = {}
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"source", "target", "decision", "note"} - set(reader.fieldnames or ())
            if missing:
                raise BatchError(f"{path} has no decisions: there is no column {', '.join(sorted(missing))}")
            for row in reader:
                if row["decision"] not in DECISIONS:
                    raise BatchError(
                        f"{path}, line {reader.line_num}: {row['decision']!r} is not one of {', '.join(DECISIONS)}"
                    )
                found[row["source"], row["target"]] = Decision(row["decision"], row["note"] or "")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BatchError(f"{path} cannot be read: {unreadable(error)}") from error
    return found


def apply(path: Path, output: Path, columns: tuple[str, str] = ("source", "target")) -> int:
    """Writes the decisions of `path` into the columns decision and note of the output; returns their number.

    Raises BatchError if a decision is about a pair that is not in the output.
    """
    decisions = read_decisions(path)
    records = TableRows(output, *columns)
    used: set[tuple[str, str]] = set()

    def decided() -> Iterator[Record]:
        for record in records.records():
            pair = str(record[columns[0]]), str(record[columns[1]])
            made = decisions.get(pair)
            if made is not None:
                used.add(pair)
            kept = {name: value for name, value in record.items() if name not in ("decision", "note")}
            yield {**kept, "decision": made.decision if made else None, "note": made.note if made else None}

    for _ in decided():
        pass
    unknown = [pair for pair in decisions if pair not in used]
    if unknown:
        raise BatchError(f"{path} decides about {' and '.join(unknown[0])}, which are not a pair of {output}")
    write_records(output, decided, [*columns, *written_columns(full=False), "decision", "note"])
    return len(used)
