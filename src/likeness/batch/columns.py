"""The columns of tables of pairs: those that are needed, and those that the batch adds."""

from collections.abc import Sequence
from pathlib import Path

from likeness.batch.errors import BatchError

#: Members of a record that the batch writes; a table must not have columns of these names.
WRITTEN = ("similarity", "matched", "matches", "unmatched", "error", "reason", "answer", "decision", "note")


def written_columns(*, full: bool) -> Sequence[str]:
    """The columns that a run adds to those given, in order."""
    return WRITTEN[: WRITTEN.index("answer") + full]


def check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Raises BatchError unless the columns of a table hold both photos, none twice, and none that the batch
    writes.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise BatchError(f"{path}: no column {' and '.join(missing)}; there are {', '.join(columns)}; see --columns")
    twice = [name for place, name in enumerate(columns) if name in columns[:place]]
    if twice:
        raise BatchError(f"{path}: two columns are called {twice[0]}; rename one of them")
    taken = [name for name in columns if name in WRITTEN]
    if taken:
        raise BatchError(f"{path}: the batch writes a column {taken[0]} of its own; rename that of the table")
