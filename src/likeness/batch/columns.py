"""The columns of tables of pairs: required ones, and those that the batch adds."""

from collections.abc import Sequence
from pathlib import Path

from likeness.batch.errors import BatchError

#: The columns that the batch writes; a table of pairs must not have them.
WRITTEN = (
    "similarity",
    "matched",
    "matches",
    "unmatched",
    "error",
    "reason",
    "answer",
    "decision",
    "note",
    "calibrated",
)


def written_columns(*, full: bool) -> Sequence[str]:
    """The columns that a run adds, in order."""
    return WRITTEN[: WRITTEN.index("answer") + full]


def check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Raises BatchError if a column of photos is missing, a column is duplicate, or the batch writes one of the same
    name.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        separator = next((each for each in ";\t|" if len(columns) == 1 and each in columns[0]), None)
        if separator:
            raise BatchError(f"{path}: its cells are separated by {separator!r}; CSV requires commas")
        raise BatchError(
            f"{path}: no column {' and '.join(missing)}; there are {', '.join(columns) or 'none'}; see --columns"
        )
    twice = [name for place, name in enumerate(columns) if name in columns[:place]]
    if twice:
        raise BatchError(f"{path}: two columns are called {twice[0]}; rename one of them")
    taken = [name for name in columns if name in WRITTEN]
    if taken:
        raise BatchError(f"{path}: the batch writes a column {taken[0]}; rename that of the table")
