"""The photos of a folder or a bucket, ordered by path."""

import hashlib
import os
import posixpath
import sqlite3
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from likeness.batch.errors import BatchError
from likeness.batch.photos import S3
from likeness.errors import RequestError
from likeness.sources.store import Store

#: The suffixes of photos.
SUFFIXES = (".jpg", ".jpeg", ".png")

_CREATE = """
PRAGMA cache_size = -16384;
CREATE TABLE photos (path TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX by_name ON photos (name, path);
"""


@dataclass(frozen=True, slots=True)
class _Found:
    """A photo's reference, its path below the listed place, and a state that changes with its content."""

    reference: str
    below: str
    state: str


class Listing:
    """The photos of one place, listed once into a temporary file, so that memory is constant.

    The name of a photo is the first part of its path below the place, without suffix: anna.jpg, anna.png, anna/1.jpg
    and anna/2.jpg have the same name.
    """

    def __init__(self, place: str, objects: Store) -> None:
        """Lists a folder, one photo, or s3://bucket/prefix/. Raises BatchError if there is no photo."""
        # A temporary file, which SQLite deletes when the listing goes, in whichever thread that is.
        self._photos = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._photos.close)
        found = _objects(place, objects) if place.startswith(S3) else _files(place)
        # Paths are ordered by their parts: a/b precedes a.b.
        rows = ((each.reference.replace("/", "\0"), _name(each.below), each.state) for each in found)
        try:
            self._photos.executescript(_CREATE)
            self._photos.execute("BEGIN")
            self._photos.executemany("INSERT OR REPLACE INTO photos VALUES (?, ?, ?)", rows)
            self._photos.execute("COMMIT")
        except UnicodeEncodeError as error:
            name = str(error.object).replace("\0", "/")
            raise BatchError(f"{name!a}: the name is not UTF-8, which outputs require; rename it") from error
        except sqlite3.Error as error:
            raise BatchError(f"{place} cannot be listed: {error}; set TMPDIR to a folder with room") from error
        if not len(self):
            raise BatchError(f"{place} holds no photos ({', '.join(SUFFIXES)})")

    def __iter__(self) -> Iterator[str]:
        """The references of all photos."""
        for (path,) in self._photos.execute("SELECT path FROM photos ORDER BY path"):
            yield path.replace("\0", "/")

    def __len__(self) -> int:
        (count,) = self._photos.execute("SELECT count(*) FROM photos").fetchone()
        return int(count)

    def named(self, name: str) -> Iterator[str]:
        """The references of the photos with a name."""
        for (path,) in self._photos.execute("SELECT path FROM photos WHERE name = ? ORDER BY path", (name,)):
            yield path.replace("\0", "/")

    def with_names(self) -> Iterator[tuple[str, str]]:
        """The references and names of all photos."""
        for path, name in self._photos.execute("SELECT path, name FROM photos ORDER BY path"):
            yield path.replace("\0", "/"), name

    @property
    def fingerprint(self) -> str:
        """A digest of the photos' names, sizes, and modification times or ETags."""
        found = hashlib.sha256()
        for path, state in self._photos.execute("SELECT path, state FROM photos ORDER BY path"):
            found.update(f"{path}\0\0{state}\n".encode())
        return found.hexdigest()


def _files(place: str) -> Iterator[_Found]:
    """The photos of a folder, or the one file."""
    root = str(Path(place))
    if os.path.isfile(root):
        yield _Found(root, os.path.basename(root), _state(root))
        return
    if not os.path.isdir(root):
        raise BatchError(f"{place} is neither a folder nor a photo")
    for folder, _, names in os.walk(root, onerror=_refuse):
        for name in names:
            path = os.path.join(folder, name).removeprefix("./")
            if name.lower().endswith(SUFFIXES) and not _is_special(path):
                yield _Found(path, os.path.relpath(path, root), _state(path))


def _refuse(error: OSError) -> NoReturn:
    raise BatchError(f"{error.filename} cannot be read: {error.strerror}") from error


def _is_special(path: str) -> bool:
    """Whether it is a pipe, a socket or a device; False for a broken link."""
    return os.path.exists(path) and not os.path.isfile(path)


def _state(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError as error:  # an unreadable photo becomes a row of the output
        return str(error.errno)
    return f"{status.st_size} {status.st_mtime_ns}"


def _objects(place: str, objects: Store) -> Iterator[_Found]:
    """The photos below a prefix that ends in a slash, or the one photo."""
    bucket, _, prefix = place.removeprefix(S3).partition("/")
    one = prefix.lower().endswith(SUFFIXES)
    if prefix and not one and not prefix.endswith("/"):
        prefix += "/"
    try:
        for each in objects.objects(bucket, prefix):
            if each.name == prefix if one else each.name.lower().endswith(SUFFIXES):
                below = each.name.rpartition("/")[2] if one else each.name.removeprefix(prefix)
                yield _Found(f"{S3}{bucket}/{each.name}", below, each.state)
    except RequestError as error:
        raise BatchError(str(error)) from error


def _name(below: str) -> str:
    first, _, rest = below.partition("/")
    return first if rest else posixpath.splitext(first)[0]
