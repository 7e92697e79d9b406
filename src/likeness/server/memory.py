"""Settings of the C library's allocator that keep a server's memory flat."""

import ctypes
import sys

#: mallopt's parameters in <malloc.h> of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

#: Each arena keeps freed memory that threads of other arenas cannot use; two let two threads allocate at once.
_ARENAS = 2
#: The free memory at the top of the heap above which it is returned, and the block size above which the library maps
#: a block separately (its maximum). With the first alone, the second stays at 128 KB, and every picture is mapped and
#: zeroed again: 10 ms of processor time a request.
_TRIM_BYTES = 64 * 1024 * 1024
_MAPPED_BYTES = 32 * 1024 * 1024


def _c_library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def limit_arenas() -> None:
    """Prevents one arena per thread, which would spread freed memory. Call it before threads start."""
    library = _c_library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def trim() -> None:
    """Returns freed memory to the system in about a millisecond; does nothing without the GNU C library."""
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)
