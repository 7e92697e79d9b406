"""A folder as a bucket: an object's name is a path below the folder, which no name can leave.

Each part of a name is opened relative to the folder opened before it, without following links (openat, O_NOFOLLOW),
so that nothing can be replaced between a check and an open.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from likeness.errors import ImageTooLarge, InvalidImageFormat, InvalidS3Object, S3Cause, SettingsError
from likeness.sources.store import ListedObject

_CHUNK_BYTES = 1 << 20

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Without O_NONBLOCK, opening a FIFO blocks until there is a writer.
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

_CAUSES: dict[int, tuple[str, S3Cause]] = {
    errno.ENOENT: ("there is no such file", "not_found"),
    errno.ENOTDIR: ("a part of the name is not a folder, or is a link", "not_found"),
    errno.ELOOP: ("a part of the name is a link", "refused"),
    errno.EACCES: ("the server may not read it", "access_denied"),
    errno.EPERM: ("the server may not read it", "access_denied"),
    errno.ENAMETOOLONG: ("a part of the name is too long", "not_found"),
    errno.ENXIO: ("it is not a regular file", "refused"),
    errno.ETIMEDOUT: ("it is not read before the request's deadline", "timeout"),
}


class DirectoryStore:
    """The regular files below one folder. Links are refused, wherever they lead."""

    def __init__(self, directory: Path) -> None:
        """Raises SettingsError if `directory` is not a folder, or the system cannot open files relative to one."""
        if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
            raise SettingsError("a folder as a bucket needs openat and O_NOFOLLOW, which this system does not have")
        self._root = directory.resolve()
        if not self._root.is_dir():
            raise SettingsError(f"s3 directory {str(directory)!r} is not a folder; create it or name another")

    def fetch(self, bucket: str, name: str, version: str | None, *, max_bytes: int, deadline: float) -> bytes:
        """The bytes of the file `name`; see `sources.store.Store.fetch`, also for what it raises.

        A folder has no versions: InvalidS3Object for one.
        """
        if version is not None:
            raise InvalidS3Object(
                f"bucket {bucket!r} is a folder, which has no versions, but version {version!r} was asked for",
                "not_found",
            )
        try:
            data = self._read(_parts(bucket, name), max_bytes, deadline)
        except OSError as error:
            text, cause = _explained(error)
            raise InvalidS3Object(f"file {name!r} of bucket {bucket!r} (a folder): {text}", cause) from error
        if not data:
            raise InvalidImageFormat(f"file {name!r} of bucket {bucket!r} (a folder) has no bytes")
        if len(data) > max_bytes:
            raise ImageTooLarge(f"file {name!r} of bucket {bucket!r} (a folder) has more than {max_bytes} bytes")
        return data

    def objects(self, bucket: str, prefix: str) -> Iterator[ListedObject]:
        """The regular files whose paths below the folder begin with `prefix`, no links.

        See `sources.store.Store.objects`, also for what it raises.
        """
        try:
            for place, folders, names, handle in os.fwalk(self._root, onerror=_refuse):
                below = Path(place).relative_to(self._root)
                folders[:] = [each for each in folders if _may_hold(f"{(below / each).as_posix()}/", prefix)]
                for name in names:
                    path = (below / name).as_posix()
                    status = os.stat(name, dir_fd=handle, follow_symlinks=False)
                    if path.startswith(prefix) and stat.S_ISREG(status.st_mode):
                        yield ListedObject(path, f"{status.st_size} {status.st_mtime_ns}")
        except OSError as error:
            text, cause = _explained(error)
            raise InvalidS3Object(
                f"{prefix!r} of bucket {bucket!r} (a folder) cannot be listed: {text}", cause
            ) from error

    def _read(self, parts: list[str], max_bytes: int, deadline: float) -> bytes:
        """At most `max_bytes` + 1 bytes of the file at `parts`. Raises OSError."""
        folder = os.open(self._root, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
        try:
            for part in parts[:-1]:
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            file = os.open(parts[-1], _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            # Not `open`, which leaves the descriptor of a folder open when it refuses it.
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
            data = bytearray()
            # The file's size is not trusted, as it can grow during the read.
            while len(data) <= max_bytes:
                chunk = os.read(file, min(_CHUNK_BYTES, max_bytes + 1 - len(data)))
                if not chunk:
                    break
                data += chunk
                if time.monotonic() >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        finally:
            os.close(file)
        return bytes(data)


def _explained(error: OSError) -> tuple[str, S3Cause]:
    """What an error of the system means, in words and as a cause."""
    number = error.errno or 0
    return _CAUSES.get(number, (os.strerror(number), "unavailable"))


def _parts(bucket: str, name: str) -> list[str]:
    """The parts of an object's name. Raises InvalidS3Object for one that is not a plain relative path."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InvalidS3Object(
            f"{name!r} is not the name of a file in bucket {bucket!r}: it must be a plain relative path",
            "not_found",
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise InvalidS3Object(
            f"{name!r} in bucket {bucket!r} cannot be a file's name on this system", "not_found"
        ) from error
    return parts


def _may_hold(folder: str, prefix: str) -> bool:
    """Whether names that begin with `prefix` may be below a folder."""
    return folder.startswith(prefix) or prefix.startswith(folder)


def _refuse(error: OSError) -> NoReturn:
    raise error
