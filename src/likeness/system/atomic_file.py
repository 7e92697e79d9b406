"""Atomic writing: a file is replaced completely or not at all."""

import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """A file that replaces `path` once it is written completely and synced to disk.

    By default only the owner may read it, as results are about people. Devices and pipes (/dev/null, `>(...)`)
    are written to directly; a link keeps its place, and its target is replaced.
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
    sync_folder(path.parent)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Writes `content` to `path` with `atomic_file`."""
    with atomic_file(path, mode=mode) as file:
        file.write(content)


def check_writable(path: Path) -> None:
    """Raises OSError if `atomic_file` cannot write to `path`; called before long work whose results go there."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    places = [path]
    if not _is_special(path):
        # A link that leads to itself is an OSError of `_is_special`.
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}", str(path))
        places = [target, target.parent] if target.exists() else [target.parent]
    if not all(os.access(place, os.W_OK) for place in places):
        raise PermissionError(errno.EACCES, "it cannot be written", str(path))


def check_not_input(output: Path, inputs: Iterable[Path]) -> None:
    """Raises OSError if writing `output` would replace one of `inputs`, which the same command reads or writes.

    Names are compared as the files that they lead to. Devices and pipes may be named twice, as nothing is replaced.
    """
    if _is_special(output):
        return
    if any(_is_same(output, each) for each in inputs):
        raise FileExistsError(errno.EEXIST, "the command already uses this file; choose another", str(output))


def _is_same(first: Path, second: Path) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them does not exist, or cannot be reached
        return os.path.realpath(first) == os.path.realpath(second)


def remove_parts(folder: Path) -> None:
    """Removes unfinished files of killed runs."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _is_special(path: Path) -> bool:
    """Whether something other than a regular file exists at `path`."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Syncs a folder, so that new names in it survive a power failure; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
