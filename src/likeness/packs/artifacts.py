"""Distribution files, fetched by hash: streamed into a part file, resumed where they stopped, verified, renamed."""

import errno
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from likeness.errors import PackDamaged, PackDownloadFailed
from likeness.packs.index import locate
from likeness.packs.integrity import check_sha256, disk_errors, sha256_of
from likeness.packs.manifest import Distribution
from likeness.packs.progress import ByteCount, Progress
from likeness.packs.web import Web, redacted

_BLOCK_BYTES = 1 << 18
#: A connection that brings less than this in a minute counts as dead, and a try that brings less as failed.
_LEAST_BYTES = 64 * 1024
_MINUTE_S = 60.0


pause = time.sleep


class _BrokeOff(PackDownloadFailed):
    """A download ended early; what came is kept and the rest can be asked for again."""


def fetch(distribution: Distribution, folder: Path, web: Web, progress: Progress) -> Path:
    """The verified file of `distribution`, fetched into `folder` if it is neither there nor in a local find-links
    folder.

    A part that an interrupted run left behind is continued. Every place that offers the file is tried. Raises
    PackDownloadFailed when no place gives it, PackDamaged when what they give is something else.
    """
    target = _target(distribution, folder)
    if _is_there(target, distribution):
        return target
    failure: PackDownloadFailed | PackDamaged | None = None
    for place in locate(distribution, web):
        try:
            if isinstance(place, Path):
                check_sha256(place, distribution.sha256)
                return place
            _Download(distribution, place, target, web).run(progress)
            return target
        except (PackDownloadFailed, PackDamaged) as error:
            # A wrong file is worse news than a silent mirror, and the first failure says more than the last.
            failure = error if failure is None or isinstance(error, PackDamaged) else failure
    raise failure or PackDownloadFailed(f"{distribution.file}: no place offers it")


def fetch_url(url: str, distribution: Distribution, folder: Path, web: Web, progress: Progress) -> Path:
    """The verified file of `distribution` from one address, in `folder`; raises as `fetch` does."""
    target = _target(distribution, folder)
    if not _is_there(target, distribution):
        _Download(distribution, url, target, web).run(progress)
    return target


def _target(distribution: Distribution, folder: Path) -> Path:
    return folder / f"{distribution.sha256[:16]}-{distribution.file}"


def _is_there(target: Path, distribution: Distribution) -> bool:
    """Whether an earlier run fetched the file; a damaged one is removed."""
    if not target.is_file():
        return False
    if sha256_of(target) == distribution.sha256:
        return True
    target.unlink()
    return False


@dataclass
class _Download:
    """One distribution file from one address."""

    distribution: Distribution
    url: str
    target: Path
    web: Web

    def run(self, progress: Progress) -> None:
        """Brings the file to `target`."""
        self.part = self.target.with_name(self.target.name + ".part")
        with disk_errors(self.part):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._check_free_space()
            try:
                with progress.download(self.distribution.file, self.distribution.size) as count:
                    self._fetch_verified(count)
            except PackDamaged:
                self.part.unlink()
                raise
            os.replace(self.part, self.target)

    def _fetch_verified(self, count: ByteCount) -> None:
        continued = self._size() > 0
        self._complete(count)
        if continued and sha256_of(self.part) != self.distribution.sha256:
            # What an earlier run left was something else; that is no reason to blame the server.
            self.part.unlink()
            self._complete(count)
        check_sha256(self.part, self.distribution.sha256, named=self.distribution.file, where=redacted(self.url))

    def _check_free_space(self) -> None:
        free, needed = shutil.disk_usage(self.target.parent).free, self.distribution.size - self._size()
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free", str(self.part))

    def _complete(self, count: ByteCount) -> None:
        """Asks for what is missing until all is there, or until pip's `retries` tries in a row have brought nothing."""
        failures, furthest = 0, self._size()
        while self._size() != self.distribution.size:
            start = self._size()
            try:
                self._continue(start if start < self.distribution.size else 0, count)
            except _BrokeOff as error:
                # Bytes that were there before do not count, or a server with a short file would be asked for ever.
                failures = 1 if self._size() >= furthest + _LEAST_BYTES else failures + 1
                furthest = max(furthest, self._size())
                if failures > self.web.settings.retries or (failures > 1 and isinstance(error.__cause__, TimeoutError)):
                    raise
                pause(min(0.25 * 2**failures, 8))

    def _continue(self, start: int, count: ByteCount) -> None:
        """Asks once for the bytes from `start` on; begins at 0 where the server does not know ranges."""
        with self.web.open(self.url, start=start) as response:
            if response.status == 416 or (response.status == 206 and _range_start(response) != start):
                self.part.unlink(missing_ok=True)
                raise _BrokeOff(f"{redacted(self.url)} cannot continue at byte {start}")
            if response.status not in (200, 206):
                raise PackDownloadFailed(f"{redacted(self.url)} answers {response.status}; {self._remedy}")
            start = start if response.status == 206 else 0
            with self.part.open("r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                try:
                    self._copy(response, file, start, count)
                except ReadTimeoutError as error:
                    raise self._broke_off("nothing came for the time limit") from TimeoutError(str(error))
                except HTTPError as error:
                    raise self._broke_off("the connection broke off") from error
                finally:
                    file.flush()
                    os.fsync(file.fileno())
        if self._size() < self.distribution.size:
            raise self._broke_off("the answer ended early")

    def _copy(self, response: urllib3.BaseHTTPResponse, file: IO[bytes], done: int, count: ByteCount) -> None:
        minute_start, minute_bytes = time.monotonic(), 0
        count.reached(done)
        while block := response.read1(_BLOCK_BYTES, decode_content=False):
            file.write(block)
            done += len(block)
            minute_bytes += len(block)
            count.reached(done)
            if done > self.distribution.size:
                raise PackDamaged(
                    f"{redacted(self.url)} sends more than the {self.distribution.size} bytes of the published "
                    f"{self.distribution.file}; check the mirror, or give the right file with --from DIR"
                )
            if time.monotonic() - minute_start > _MINUTE_S:
                if minute_bytes < _LEAST_BYTES:
                    raise self._broke_off("less than 64 KB came in a minute") from TimeoutError()
                minute_start, minute_bytes = time.monotonic(), 0

    def _broke_off(self, why: str) -> _BrokeOff:
        have, total = self._size() / 1e6, self.distribution.size / 1e6
        return _BrokeOff(f"{redacted(self.url)}: {why} after {have:.1f} of {total:.1f} MB; {self._remedy}")

    @property
    def _remedy(self) -> str:
        return "run the same command again to go on, or give the file with --from DIR"

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _range_start(response: urllib3.BaseHTTPResponse) -> int:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else -1
