"""Files that users name: bounded reading of what may be a pipe, a device or a folder."""

import errno
import os
import select
import stat
from os import PathLike
from pathlib import Path

#: How long a pipe may deliver nothing before the read fails.
_SILENCE_SECONDS = 60.0
_PIECE_BYTES = 1024 * 1024


def read_at_most(path: str | PathLike[str], max_bytes: int, *, silence_seconds: float = _SILENCE_SECONDS) -> bytes:
    """The content of a file, at most `max_bytes` + 1 bytes of it.

    A pipe, such as a shell's `<(...)` or /dev/stdin, is read to its end. Raises OSError, and its subclass TimeoutError
    if a pipe delivers nothing for `silence_seconds`.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        waits = not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        poller = select.poll()
        poller.register(file, select.POLLIN)
        pieces: list[bytes] = []
        left = max_bytes + 1
        while left > 0:
            if waits and not poller.poll(silence_seconds * 1000):
                raise TimeoutError(errno.ETIMEDOUT, f"nothing came from the pipe for {silence_seconds:g} s")
            piece = file.read(min(left, _PIECE_BYTES))
            if piece is None:  # another reader of the pipe took the data
                continue
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
    return b"".join(pieces)


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file without blocking on a pipe that has no writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def check_regular(path: Path) -> None:
    """Raises OSError for anything that cannot be read more than once: a folder, a pipe, a device, a socket."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((name for matches, name in kinds if matches(mode)), "a device")
    raise OSError(errno.EINVAL, f"it is {kind}; a regular file is needed, because it is read more than once")


def meant_file(path: str) -> str | None:
    """The file that `path` names without blanks and quotes around it and with ~ replaced; None where it names none."""
    plain = os.path.expanduser(path.strip().strip("\"'").strip())
    return plain if plain != path and os.path.isfile(plain) else None
