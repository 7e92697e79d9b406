"""Settings of the C library's allocator and of the kernel that keep a server's memory flat."""

import ctypes
import sys

#: mallopt's parameters in <malloc.h> of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

#: Each arena keeps freed memory that threads of other arenas cannot use. With two, which threads share one is left to
#: chance: of two servers under the same 20,000 requests, one stayed at 226 MB, the other grew from 227 to 232 MB.
_ARENAS = 1
#: The free memory at the top of the heap above which it is returned, and the block size above which the library maps
#: a block separately (its maximum). With the first alone, the second stays at 128 KB, and every picture is mapped and
#: zeroed again: 10 ms of processor time a request.
_TRIM_BYTES = 64 * 1024 * 1024
_MAPPED_BYTES = 32 * 1024 * 1024
#: prctl's option in <linux/prctl.h>. In huge pages, 2 MB stay for one small block; numpy asks for such pages where it
#: has a large array, and some distributions use them everywhere.
_PR_SET_THP_DISABLE = 41
#: Freed memory is returned to the system after this many requests, or if none arrives for this many ticks of 0.1 s. By
#: time alone, what a server keeps would depend on how many requests come in that time: 10 MB more or less.
_REQUESTS, _IDLE_TICKS = 32, 50


def _c_library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def configure() -> None:
    """Has the process keep little freed memory. Call it before threads start."""
    library = _c_library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        library.prctl(_PR_SET_THP_DISABLE, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def trim() -> None:
    """Returns freed memory to the system in about a millisecond; does nothing without the GNU C library."""
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)


class MemoryTrimmer:
    """Returns freed memory to the system from time to time."""

    def __init__(self) -> None:
        self._returned_after = 0
        self._seen = 0

    def tick(self, number: int, requests: int) -> None:
        """Called every 0.1 s, with the number of the call and that of the requests answered so far."""
        is_idle = False
        if number % _IDLE_TICKS == 0:
            is_idle, self._seen = requests == self._seen, requests
        since = requests - self._returned_after
        if since >= _REQUESTS or (since and is_idle):
            self._returned_after = requests
            trim()
