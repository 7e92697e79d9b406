"""The SQLite files of a run: accessible to their owner only, consistent after a kill or a power failure."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from likeness.batch.errors import BatchError


@contextmanager
def open_database(path: Path, tables: str, failure: str) -> Iterator[sqlite3.Connection]:
    """Opens the file, or creates it with `tables`, SQL statements, mode 600. Raises BatchError, whose message begins
    with the path and `failure`, if the file cannot be opened or used.

    SQLite gives its journal files the same mode. Threads that share the connection are serialised.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:  # those of what is done with the database are not its own
        raise BatchError(f"{path} {failure}: {error}") from error
    try:
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
            prepare(database, tables)
            yield database
    except sqlite3.Error as error:
        raise BatchError(f"{path} {failure}: {error}") from error


def prepare(database: sqlite3.Connection, tables: str) -> None:
    """Creates `tables`, SQL statements; a power failure loses only the last transactions. Raises sqlite3.Error."""
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(tables)
    except UnicodeDecodeError as error:  # of a message that quotes a damaged definition
        raise sqlite3.DatabaseError("the definitions of its tables are damaged") from error


def remove_database(path: Path) -> None:
    """Removes the file with its journal files."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
