"""Verification of files by hash, and errors of full or read-only disks."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from likeness.errors import PackDamaged, PackDownloadFailed

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NOT_WRITABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    # No folder can be made there: below a file, in /proc, below a link to itself, with such a name.
    *(errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG),
)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, *, named: str = "", where: str = "") -> None:
    """PackDamaged unless the file at `path` has the SHA-256 `expected`; `named` and `where` are for the message."""
    found = sha256_of(path)
    if found != expected:
        source = f" from {where}" if where else ""
        raise PackDamaged(
            f"{named or path}{source} is not the published file: its SHA-256 is {found}, expected {expected}. "
            "Nothing was installed; check the mirror, or provide the right file with --from DIR"
        )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns errors of a full or read-only disk, or of permissions, into PackDownloadFailed with `path` and a remedy."""
    try:
        yield
    except OSError as error:
        file = error.filename or path
        if error.errno in _FULL:
            detail = f" ({error.strerror})" if error.strerror and "MB" in error.strerror else ""
            raise PackDownloadFailed(
                f"the disk is full: {file} cannot be written{detail}; free some space, or set LIKENESS_HOME to a "
                "folder on another disk, and run again"
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise PackDownloadFailed(
                f"{file} cannot be written ({error.strerror}); set LIKENESS_HOME to a writable folder"
            ) from error
        raise
