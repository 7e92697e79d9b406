"""The face store: what was found in photos, by their content and by what found it; biometric data, in one SQLite file.

It is created for its owner alone (mode 600), and no larger than it may be: the descriptions that were used longest ago
go first.
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from likeness.batch.described import DescribedPhoto, decode, encode
from likeness.batch.errors import BatchError

_CREATE = """
CREATE TABLE IF NOT EXISTS faces (
    content BLOB NOT NULL, maker TEXT NOT NULL, roles INTEGER NOT NULL, payload BLOB NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (content, maker)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON faces (used);
"""
#: Descriptions held decoded; each is a few kilobytes, of a crowd a hundred.
_HELD = 8192
#: A full store gives up so much at a time.
_KEPT_WHEN_FULL = 0.9


class FaceStore:
    """Descriptions of photos by the SHA-256 of their content. Used by one thread at a time."""

    def __init__(self, database: sqlite3.Connection, maker: str, max_bytes: int | None) -> None:
        self._database = database
        self._maker = maker
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, DescribedPhoto] = OrderedDict()
        (self._clock,) = database.execute("SELECT coalesce(max(used), 0) + 1 FROM faces").fetchone()
        (self._bytes,) = database.execute("SELECT coalesce(sum(length(payload)), 0) FROM faces").fetchone()

    @classmethod
    @contextmanager
    def open(cls, path: Path, maker: str, max_bytes: int | None = None) -> Iterator["FaceStore"]:
        """Opens or makes the file; `max_bytes` bounds its descriptions. Raises BatchError."""
        try:
            owned(path)
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.executescript(_CREATE)
                yield cls(database, maker, max_bytes)
        except (sqlite3.Error, OSError) as error:
            raise BatchError(f"{path} cannot keep faces: {error}; name another folder with --store") from error

    def get(self, content: bytes, roles: int) -> DescribedPhoto | None:
        """The description of a photo in at least these roles, None where there is none."""
        held = self._held.get(content)
        if held is not None and held.roles & roles == roles:
            self._held.move_to_end(content)
            return held
        row = self._database.execute(
            "SELECT payload FROM faces WHERE content = ? AND maker = ? AND roles & ? = ?",
            (content, self._maker, roles, roles),
        ).fetchone()
        return None if row is None else self._hold(content, decode(row[0]))

    def put(self, described: Iterable[tuple[bytes, DescribedPhoto]]) -> None:
        """Keeps descriptions, all or none of them should the process end."""
        rows = [(content, self._maker, each.roles, encode(each), self._clock) for content, each in described]
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO faces VALUES (?, ?, ?, ?, ?)", rows)
            self._bytes += sum(len(row[3]) for row in rows)
            self._clock += 1
            if self._max_bytes is not None and self._bytes > self._max_bytes:
                self._shrink(self._max_bytes)

    def forget_failures(self) -> None:
        """Descriptions that say why a photo cannot be used go, so that it is looked at again."""
        with self._transaction():
            rows = self._database.execute("SELECT content, payload FROM faces WHERE maker = ?", (self._maker,))
            failed = [(content, self._maker) for content, payload in rows if decode(payload).failed]
            self._database.executemany("DELETE FROM faces WHERE content = ? AND maker = ?", failed)
        self._held.clear()

    def _hold(self, content: bytes, photo: DescribedPhoto) -> DescribedPhoto:
        self._held[content] = photo
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        return photo

    def _shrink(self, max_bytes: int) -> None:
        rows = self._database.execute("SELECT content, maker, length(payload) FROM faces ORDER BY used, content")
        gone: list[tuple[bytes, str]] = []
        for content, maker, size in rows:
            if self._bytes <= _KEPT_WHEN_FULL * max_bytes:
                break
            gone.append((content, maker))
            self._bytes -= size
        self._database.executemany("DELETE FROM faces WHERE content = ? AND maker = ?", gone)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def owned(path: Path) -> None:
    """Makes a file that only its owner may read, if there is none. SQLite gives the files beside it the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
