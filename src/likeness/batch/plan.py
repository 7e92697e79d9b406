"""The plan: the distinct photos of a batch, their roles, and the keys of their content once they are read."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from likeness.batch.database import open_database
from likeness.batch.described import AS_SOURCE, AS_TARGET
from likeness.batch.errors import BatchError
from likeness.batch.rows import Row

_CREATE = """
CREATE TABLE IF NOT EXISTS photos (
    number INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, roles INTEGER NOT NULL, content BLOB
);
CREATE TABLE IF NOT EXISTS made (pairs INTEGER NOT NULL);
"""
#: How many references that are in the plan are cached.
_REMEMBERED = 100_000


class Plan:
    """The distinct photos of a batch, in a file, so that memory is constant."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["Plan"]:
        """Opens or creates the file. Raises BatchError."""
        with open_database(path, _CREATE, "cannot keep the plan") as database:
            yield cls(database)

    def make(self, rows: Iterable[Row]) -> int:
        """Plans all rows, unless they are planned already; returns their number."""
        return self._once(lambda: self._add_rows(rows))

    def make_of_photos(self, references: Iterable[str]) -> int:
        """Plans photos of which all pairs are compared, by one face each; returns the number of pairs."""
        return self._once(lambda: self._add_photos(references))

    def counts(self) -> tuple[int, int]:
        """The number of distinct photos, and of those that have been read."""
        total, read = self._database.execute("SELECT count(*), count(content) FROM photos").fetchone()
        return int(total), int(read)

    def photos(self, start: int = 0, count: int = -1) -> Iterator[tuple[str, int]]:
        """The photos after number `start` with their roles, in order; numbers count from 1."""
        yield from self._database.execute(
            "SELECT reference, roles FROM photos WHERE number > ? ORDER BY number LIMIT ?", (start, count)
        )

    def reference(self, number: int) -> str:
        """The reference of the photo with a number."""
        (reference,) = self._database.execute("SELECT reference FROM photos WHERE number = ?", (number,)).fetchone()
        return str(reference)

    def number(self, reference: str) -> int:
        """The number of a photo."""
        number: int = self._one("SELECT number FROM photos WHERE reference = ?", reference)
        return number

    def roles(self, reference: str) -> int:
        """The roles of a photo."""
        roles: int = self._one("SELECT roles FROM photos WHERE reference = ?", reference)
        return roles

    def content(self, reference: str) -> bytes | None:
        """The key of a photo's content in the face store; None before it is read."""
        found = self._one("SELECT content FROM photos WHERE reference = ?", reference)
        return None if found is None else bytes(found)

    def set_contents(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Sets the content keys of photos."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "UPDATE photos SET content = ? WHERE reference = ?", ((content, name) for name, content in contents)
        )
        self._database.execute("COMMIT")

    def forget_contents(self) -> None:
        """Marks all photos as unread."""
        self._database.execute("UPDATE photos SET content = NULL")

    def _once(self, add: Callable[[], int]) -> int:
        made = self._database.execute("SELECT pairs FROM made").fetchone()
        if made is not None:
            return int(made[0])
        self._database.execute("BEGIN")
        pairs = add()
        self._database.execute("INSERT INTO made VALUES (?)", (pairs,))
        self._database.execute("COMMIT")
        return pairs

    def _add_rows(self, rows: Iterable[Row]) -> int:
        planned = 0
        known: dict[str, int] = {}
        for planned, row in enumerate(rows, 1):  # noqa: B007
            for reference, role in ((row.source, AS_SOURCE), (row.target, AS_TARGET)):
                roles = known.get(reference, 0)
                if roles & role:
                    continue
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[reference] = roles | role
                self._add(reference, role)
        return planned

    def _add_photos(self, references: Iterable[str]) -> int:
        count = 0
        for count, reference in enumerate(references, 1):  # noqa: B007
            self._add(reference, AS_SOURCE)
        return count * (count - 1) // 2

    def _add(self, reference: str, role: int) -> None:
        self._database.execute(
            "INSERT INTO photos (reference, roles) VALUES (?, ?) "
            "ON CONFLICT (reference) DO UPDATE SET roles = roles | excluded.roles",
            (reference, role),
        )

    def _one(self, query: str, reference: str) -> Any:
        row: tuple[Any] | None = self._database.execute(query, (reference,)).fetchone()
        if row is None:
            raise BatchError(f"{reference} is not in the plan: the pairs have changed; start again with another output")
        return row[0]
