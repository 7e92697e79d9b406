"""A lock between processes: the operating system's lock on a file, released however its process ends.

SQLite, which Python brings, takes that lock on every system that it runs on; nothing is ever written to the file.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

#: A wait is cut into pieces, so that Ctrl-C is heard.
_PIECE_SECONDS = 0.5
_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}


@contextmanager
def one_at_a_time(path: Path, *, waiting: Callable[[], None] = lambda: None, mode: int = 0o666) -> Iterator[None]:
    """Holds the lock file `path`, made with `mode` where it is missing; `waiting` is called once if another has it.

    OSError where the file is not usable. The lock also excludes other threads and is not reentrant.
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
    # An existing file is not opened: closing any descriptor of it releases all POSIX locks that the process holds on
    # it, and another thread may hold one.
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
    """With the system's number of what failed, by which callers tell a full disk from a forbidden one."""
    code = _ERRNO.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, errno.EIO)
    return OSError(code, f"cannot be locked: {error}", str(path))
