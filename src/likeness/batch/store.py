"""The face store: descriptions of photos by content and maker, in one SQLite file; they are biometric data.

Only its owner can read it (mode 600). Its size is limited: the least recently used descriptions are removed first.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from likeness.batch.database import open_database
from likeness.batch.described import DescribedPhoto, decode, encode

_CREATE = """
CREATE TABLE IF NOT EXISTS faces (
    content BLOB NOT NULL, maker TEXT NOT NULL, roles INTEGER NOT NULL, payload BLOB NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (content, maker)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON faces (used);
"""
#: The most decoded faces in memory, of some 4 kB each.
_FACES_HELD = 8192
#: The share of a full store that is kept when it is shrunk.
_KEPT_WHEN_FULL = 0.9


class FaceStore:
    """Descriptions of photos by the SHA-256 of their content. Used by one thread, except for `known`."""

    def __init__(self, database: sqlite3.Connection, maker: str, max_bytes: int | None) -> None:
        self._database = database
        self._maker = maker
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._held: OrderedDict[bytes, DescribedPhoto] = OrderedDict()
        self._faces_held = 0
        (self._clock,) = database.execute("SELECT coalesce(max(used), 0) + 1 FROM faces").fetchone()
        self._bytes = self._total()

    @classmethod
    @contextmanager
    def open(cls, path: Path, maker: str, max_bytes: int | None = None) -> Iterator["FaceStore"]:
        """Opens or creates the file; `max_bytes` limits its descriptions. Raises BatchError."""
        with open_database(path, _CREATE, "cannot store faces, so choose another folder with --store") as database:
            yield cls(database, maker, max_bytes)

    def get(self, content: bytes) -> DescribedPhoto | None:
        """The description of a photo, None if there is none that can be read."""
        held = self._held.get(content)
        if held is not None:
            self._held.move_to_end(content)
            return held
        found = self.known(content)
        return None if found is None else self._hold(content, found)

    def known(self, content: bytes) -> DescribedPhoto | None:
        """As `get`, from the file; any thread may call it."""
        with self._lock:
            row = self._database.execute(
                "SELECT payload FROM faces WHERE content = ? AND maker = ?", (content, self._maker)
            ).fetchone()
        return None if row is None else _readable(row[0])

    def put(self, described: Collection[tuple[bytes, DescribedPhoto]]) -> None:
        """Stores descriptions in one transaction."""
        rows = [(content, self._maker, each.roles, encode(each), self._clock) for content, each in described]
        for content, _ in described:
            self._drop(content)
        with self._transaction():
            for row in rows:
                self._bytes += len(row[3]) - self._size(row[0])
                self._database.execute("INSERT OR REPLACE INTO faces VALUES (?, ?, ?, ?, ?)", row)
            self._clock += 1
            if self._max_bytes is not None and self._bytes > self._max_bytes:
                self._shrink(self._max_bytes)

    def forget_failures(self) -> None:
        """Removes descriptions of unusable photos, so that these are analysed again."""
        with self._transaction():
            rows = self._database.execute("SELECT content, payload FROM faces WHERE maker = ?", (self._maker,))
            described = ((content, _readable(payload)) for content, payload in rows)
            failed = [(content, self._maker) for content, photo in described if photo is None or photo.failed]
            self._database.executemany("DELETE FROM faces WHERE content = ? AND maker = ?", failed)
            self._bytes = self._total()
        self._held.clear()
        self._faces_held = 0

    def _total(self) -> int:
        """The bytes of all descriptions."""
        (total,) = self._database.execute("SELECT coalesce(sum(length(payload)), 0) FROM faces").fetchone()
        return int(total)

    def _size(self, content: bytes) -> int:
        """The bytes of a stored description, 0 if there is none."""
        row = self._database.execute(
            "SELECT coalesce(length(payload), 0) FROM faces WHERE content = ? AND maker = ?", (content, self._maker)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _hold(self, content: bytes, photo: DescribedPhoto) -> DescribedPhoto:
        # A photo without a usable face counts as one.
        self._faces_held += max(photo.faces, 1)
        self._held[content] = photo
        while self._faces_held > _FACES_HELD and len(self._held) > 1:
            self._drop(next(iter(self._held)))
        return photo

    def _drop(self, content: bytes) -> None:
        gone = self._held.pop(content, None)
        self._faces_held -= 0 if gone is None else max(gone.faces, 1)

    def _shrink(self, max_bytes: int) -> None:
        rows = self._database.execute(
            "SELECT content, maker, coalesce(length(payload), 0) FROM faces ORDER BY used, content"
        )
        gone: list[tuple[bytes, str]] = []
        for content, maker, size in rows:
            if self._bytes <= _KEPT_WHEN_FULL * max_bytes:
                break
            gone.append((content, maker))
            self._bytes -= size
        self._database.executemany("DELETE FROM faces WHERE content = ? AND maker = ?", gone)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def _readable(payload: object) -> DescribedPhoto | None:
    """The description; None for a damaged one, whose photo is then analysed again."""
    try:
        return decode(payload) if isinstance(payload, bytes) else None
    except ValueError:
        return None
