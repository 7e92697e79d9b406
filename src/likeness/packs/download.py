"""Downloads files over HTTP by hash: streamed into a part file, resumed, verified, renamed.

It uses the standard library's client with the environment's proxies and the system's certificates or SSL_CERT_FILE.
"""

import base64
import errno
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

from likeness.errors import PackDamaged, PackDownloadFailed
from likeness.packs.integrity import check_sha256, disk_errors
from likeness.packs.manifest import Distribution
from likeness.packs.progress import ByteCount, Progress

_BLOCK_BYTES = 1 << 18
_MAX_PAGE_BYTES = 64 * 1024 * 1024
#: A server fails if it is silent for this long, ...
_SILENCE_S = 15.0
#: ... after this many consecutive attempts without new bytes, and if it is slower than this after a minute.
_TRIES, _LEAST_BYTES_A_SECOND = 4, 1024
_MINUTE_S = 60.0

pause = time.sleep


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a server; empty values mean the environment's."""

    proxy: str = ""
    ca_file: str = ""
    authorization: str = field(default="", repr=False)


def read_page(url: str, access: Access) -> str:
    """The text at `url`; PackDownloadFailed if the server does not send it."""
    try:
        with _opened(url, access) as response:
            return response.read(_MAX_PAGE_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException, ValueError) as error:
        raise PackDownloadFailed(f"{redacted(url)}: {_reason(error)}") from error


def size_of(url: str, access: Access) -> int:
    """The bytes of the file at `url`, as the server says; PackDownloadFailed if it does not."""
    try:
        with _opened(url, access, method="HEAD") as response:
            size = response.headers.get("Content-Length", "")
    except (OSError, HTTPException, ValueError) as error:
        raise PackDownloadFailed(f"{redacted(url)}: {_reason(error)}") from error
    if not size.isdecimal():
        raise PackDownloadFailed(f"{redacted(url)}: the server does not say how large the file is")
    return int(size)


def fetch(url: str, distribution: Distribution, folder: Path, access: Access, progress: Progress) -> Path:
    """Downloads the file of `distribution` from `url` into `folder`; resumes an earlier run, returns the verified file.

    PackDownloadFailed if the server does not send it, PackDamaged if it sends something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / distribution.file
    download = _Download(url, distribution, target.with_name(f"{target.name}.part"), access)
    with progress.download(distribution.file, distribution.size) as count:
        try:
            download.complete(count)
            check_sha256(download.part, distribution.sha256, named=distribution.file, where=redacted(url))
        except PackDamaged:
            download.part.unlink()
            raise
    os.replace(download.part, target)
    return target


@dataclass(frozen=True, slots=True)
class _Download:
    """The download of one file into a part file."""

    url: str
    distribution: Distribution
    part: Path
    access: Access

    def complete(self, count: ByteCount) -> None:
        """Requests the missing bytes until the file is complete or consecutive attempts yield none."""
        free, missing = shutil.disk_usage(self.part.parent).free, self.distribution.size - self._size()
        if free < missing:
            raise OSError(errno.ENOSPC, f"{missing / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free", str(self.part))
        failures, furthest = 0, self._size()
        while (start := self._size()) != self.distribution.size:
            try:
                self._continue(start if start < self.distribution.size else 0, count)
            except (OSError, HTTPException, ValueError) as error:
                # Only new bytes count: a server with a truncated file would be retried forever.
                failures = 1 if self._size() > furthest else failures + 1
                furthest = max(furthest, self._size())
                if failures >= _TRIES or not _is_transient(error):
                    have, total = self._size() / 1e6, self.distribution.size / 1e6
                    raise PackDownloadFailed(
                        f"{redacted(self.url)}: {_reason(error)}, after {have:.1f} of {total:.1f} MB; run the same "
                        "command again to resume"
                    ) from error
                if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                    self.part.unlink(missing_ok=True)
                pause(0.25 * 2**failures)

    def _continue(self, start: int, count: ByteCount) -> None:
        """Requests the bytes from `start` on; begins at 0 if the server does not support ranges."""
        began = time.monotonic()
        with _opened(self.url, self.access, start=start) as response:
            start = start if response.status == 206 else 0
            with disk_errors(self.part), self.part.open("r+b" if start else "wb") as file:
                done = file.seek(start)
                file.truncate()
                while block := response.read1(_BLOCK_BYTES):
                    done += file.write(block)
                    count.reached(done)
                    if done > self.distribution.size:
                        raise PackDamaged(
                            f"{redacted(self.url)} sends more than the published {self.distribution.size} bytes"
                        )
                    seconds = time.monotonic() - began
                    if seconds > _MINUTE_S and (done - start) / seconds < _LEAST_BYTES_A_SECOND:
                        raise TimeoutError("the server is too slow")
        if done < self.distribution.size:
            raise HTTPException("the answer ended early")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _opened(url: str, access: Access, *, start: int = 0, method: str = "GET") -> AbstractContextManager[HTTPResponse]:
    """The response to a request for `url`, 200 or 206; OSError or HTTPException otherwise."""
    plain, credentials = _split_credentials(url)
    request = urllib.request.Request(plain, headers={"User-Agent": "likeness", "Accept": "*/*"}, method=method)
    if start:
        request.add_header("Range", f"bytes={start}-")
    if authorization := access.authorization or credentials:
        # Not sent to the server of a redirect.
        request.add_unredirected_header("Authorization", authorization)
    proxies = urllib.request.ProxyHandler(dict.fromkeys(("http", "https"), access.proxy) if access.proxy else None)
    try:
        context = ssl.create_default_context(cafile=access.ca_file or None)
    except OSError as error:
        raise PackDownloadFailed(f"the certificate file {access.ca_file} cannot be used: {error}") from error
    opener = urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context))
    return cast(HTTPResponse, opener.open(request, timeout=_SILENCE_S))


def _is_transient(error: Exception) -> bool:
    """Whether a retry may succeed: not if the server is silent or refuses."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (416, 429)
    return not isinstance(getattr(error, "reason", error), TimeoutError | ssl.SSLCertVerificationError)


def _reason(error: Exception) -> str:
    """Why there is no response, as a message."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        what = {401: "credentials are missing or wrong", 403: "forbidden", 407: "the proxy needs credentials"}
        return f"the server answers {error.code} ({what.get(error.code, error.reason)})"
    reason = getattr(error, "reason", error)
    return f"no answer ({str(reason) or type(reason).__name__})"


def _split_credentials(url: str) -> tuple[str, str]:
    """The URL without credentials, and the Authorization header for them, "" without."""
    parts = urlsplit(url)
    given, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, ""
    return urlunsplit(parts._replace(netloc=host)), f"Basic {base64.b64encode(unquote(given).encode()).decode()}"


def redacted(url: str) -> str:
    """`url` for messages: without credentials and query."""
    try:
        return urlunsplit(urlsplit(_split_credentials(url)[0])._replace(query="", fragment=""))
    except ValueError:
        return "the address of the configuration"
