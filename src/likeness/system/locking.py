"""A lock between processes: the operating system's lock on a file, released however the process ends.

It is taken with SQLite, part of Python's standard library, which is portable; nothing is written to the file.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

#: Waits are short, so that Ctrl-C takes effect between them.
_PIECE_SECONDS = 0.5
_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}


@contextmanager
def one_at_a_time(path: Path, *, waiting: Callable[[], None] = lambda: None, mode: int = 0o666) -> Iterator[None]:
    """Holds the lock on the file `path`, created with `mode` if missing; calls `waiting` once if it has to wait.

    Raises OSError if the file is not usable. The lock also excludes other threads and is not reentrant.
    """
    _make(path, mode)
    with closing(_connected(path)) as lock:
        if not _taken(lock, path):
            waiting()
            lock.execute(f"PRAGMA busy_timeout = {int(_PIECE_SECONDS * 1000)}")
            while not _taken(lock, path):
                pass
        yield


def _make(path: Path, mode: int) -> None:
    # An existing file is not opened: closing any descriptor of a file releases all POSIX locks of the process on it,
    # and another thread may hold one.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _connected(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _as_os_error(error, path) from error


def _taken(lock: sqlite3.Connection, path: Path) -> bool:
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise _as_os_error(error, path) from error
    return True


def _as_os_error(error: sqlite3.Error, path: Path) -> OSError:
    """An OSError with the errno of the failure, so that callers can distinguish a full disk from a forbidden one."""
    code = _ERRNO.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, errno.EIO)
    return OSError(code, f"cannot be locked: {error}", str(path))
