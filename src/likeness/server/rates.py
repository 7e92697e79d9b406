"""Rate limits of keys: token buckets in memory shared by all workers, so that the rate does not grow with them.

Steady-rate excess is ProvisionedThroughputExceededException (specification section 7.1).
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

#: A bucket: digest of the key's id, tokens, and when they were counted (monotonic seconds, the same in all processes).
_BUCKET = struct.Struct("<8sdd")
_BUCKETS = 4096
_PROBES = 16


class Rates:
    """Token buckets by key. Made before the workers are; used by each of them.

    A bucket holds `burst` tokens (0: two seconds' worth, one at least) and gains as many a second as the key's rate.
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
        # A file without a name, for two ends: memory that processes share, and a lock that dies with its holder.
        self._file = _nameless_file()
        self._file.truncate(_BUCKETS * _BUCKET.size)
        self._memory = mmap.mmap(self._file.fileno(), _BUCKETS * _BUCKET.size)

    def take(self, key_id: str) -> None:
        """Takes one token of the key. Raises RateExceeded when there is none."""
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
            raise RateExceeded(f"key {key_id} asks more than {rate:g} times a second (burst {burst:g})")

    def close(self) -> None:
        """Frees the memory."""
        self._memory.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, digest: bytes, burst: float, now: float) -> tuple[int, float, float]:
        """(offset, tokens, when counted) of a key's bucket; a new one is full, and displaces the one longest unused."""
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
        # Held for microseconds, and only ever by one thread of a process: the event loop's.
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def _nameless_file() -> IO[bytes]:
    """In memory where the system can do that, which needs no folder that can be written."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("likeness-rates", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()
