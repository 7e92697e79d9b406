"""Files that are there whole or not at all, whatever happens while they are written."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: Path, *, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` when all is written and on the disk.

    Results are about people: the file is for its owner alone, unless `mode` says otherwise. What is no regular file,
    such as /dev/null or a shell's `>(...)`, is written to as it is; of a link, the file that it names is replaced.
    """
    if _is_special(path):
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_whole(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Writes a file, whole or not at all, as `whole` does."""
    with whole(path, mode=mode) as file:
        file.write(content)


def check_writable(path: Path) -> None:
    """Raises OSError where `path` cannot be written, so that it is known before the work that it is for."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}", str(path))
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise PermissionError(errno.EACCES, "it cannot be written", str(path))


def remove_parts(folder: Path) -> None:
    """What a run that was killed had begun to write goes."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _is_special(path: Path) -> bool:
    """Whether there is something at `path` that is no regular file and keeps its place."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
