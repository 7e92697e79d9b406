"""The SQLite file in which an evaluation stores vectors and counts between runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from likeness.batch.database import prepare
from likeness.errors import LikenessError

_TABLES = """
CREATE TABLE IF NOT EXISTS embeddings (
    photo BLOB, maker TEXT, vector BLOB, failure TEXT, PRIMARY KEY (photo, maker)
);
CREATE TABLE IF NOT EXISTS counts (cell BLOB PRIMARY KEY, arrays BLOB);
"""


class ResultsFileError(LikenessError):
    """The file with embeddings and counts cannot be used."""


@contextmanager
def opened(path: Path | None) -> Iterator[sqlite3.Connection | None]:
    """Opens or creates the file; None without a path.

    ResultsFileError, also within the context, if it is another kind of file or cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        with closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as database:
            prepare(database, _TABLES)
            yield database
    except sqlite3.Error as error:
        raise ResultsFileError(f"{path} cannot store embeddings: {error}; choose another file") from error
