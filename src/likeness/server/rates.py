"""Rate limits of keys: token buckets in memory that all workers share.

A request over the limit gets ProvisionedThroughputExceededException (specification section 7.1).
"""

import fcntl
import math
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import IO, Self

from likeness.errors import RateExceeded

#: A bucket: digest of the key id, tokens, and when they were counted (monotonic seconds, the same in all processes).
_BUCKET = struct.Struct("<8sdd")
_BUCKETS = 4096
_PROBES = 16


class Rates:
    """Token buckets by key. Created before the workers, and used by all of them.

    A bucket holds `burst` tokens (0: two seconds' worth, at least one) and is refilled at the key's rate per second.
    """

    def __init__(
        self,
        rate_per_second: float,
        burst: int = 0,
        rates: Mapping[str, float] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._default = rate_per_second
        self._burst = burst
        self._rates = dict(rates or {})
        self._clock = clock
        # An unnamed file gives shared memory, and a lock that is released when its holder dies.
        self._file = _nameless_file()
        self._file.truncate(_BUCKETS * _BUCKET.size)
        self._memory = mmap.mmap(self._file.fileno(), _BUCKETS * _BUCKET.size)

    def take(self, key_id: str) -> None:
        """Takes one token of the key; a rate of 0 is unlimited. Raises RateExceeded when there is none."""
        rate = self._rates.get(key_id, self._default)
        if rate == 0:
            return
        burst = float(self._burst or max(1, math.ceil(2 * rate)))
        digest = blake2b(key_id.encode(), digest_size=8).digest()
        with self._locked():
            now = self._clock()
            place, tokens, counted = self._find(digest, burst, now)
            tokens = min(burst, tokens + max(0.0, now - counted) * rate)
            allowed = tokens >= 1
            _BUCKET.pack_into(self._memory, place, digest, tokens - 1 if allowed else tokens, now)
        if not allowed:
            raise RateExceeded(f"key {key_id} sends more than {rate:g} requests a second (burst {burst:g})")

    def close(self) -> None:
        """Frees the memory."""
        self._memory.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, digest: bytes, burst: float, now: float) -> tuple[int, float, float]:
        """(offset, tokens, when counted) of a key's bucket; a new one is full and replaces the least recently used."""
        start = int.from_bytes(digest, "little")
        oldest, oldest_at = 0, math.inf
        for probe in range(_PROBES):
            place = (start + probe) % _BUCKETS * _BUCKET.size
            owner, tokens, counted = _BUCKET.unpack_from(self._memory, place)
            if owner == digest:
                return place, tokens, counted
            if counted < oldest_at:
                oldest, oldest_at = place, counted
        return oldest, burst, now

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Held for microseconds, and in each process only by the event loop's thread.
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def _nameless_file() -> IO[bytes]:
    """An unnamed file, in memory where the system supports that, as no writable folder is needed then."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("likeness-rates", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()
