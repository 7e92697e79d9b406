"""Settings of the C library's allocator that keep a server's memory flat."""

import ctypes
import sys

#: mallopt's parameters in <malloc.h> of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

#: More arenas than this hold what each thread freed and no other can use; two let two threads allocate at once.
_ARENAS = 2
#: Free memory at the top from which on it is returned; and the size from which on a block is mapped from the system
#: for itself (the most that the library takes). Setting the first alone leaves the second at 128 KB, and then
#: every picture is mapped and zeroed again: 10 ms of processor time a request.
_TRIM_BYTES = 64 * 1024 * 1024
_MAPPED_BYTES = 32 * 1024 * 1024


def _c_library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def limit_arenas() -> None:
    """Keeps freed memory from being spread over one arena per thread. Call before threads are started."""
    library = _c_library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def give_back() -> None:
    """Returns freed memory to the system, in about a millisecond; nothing without the GNU C library."""
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)
