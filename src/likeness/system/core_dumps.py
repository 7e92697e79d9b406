"""A crash of a process that holds photos, embeddings and secrets leaves none of them in a core dump."""

import sys
from contextlib import suppress

#: <linux/prctl.h>.
_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Forbids core dumps of this process and of those that it forks.

    On Linux, other processes of the same user can also no longer trace it or read its memory and environment in /proc,
    and a handler that `core_pattern` pipes dumps to, which a limit of zero does not stop, is not called.
    """
    with suppress(ImportError, OSError, ValueError):  # Windows, and systems without the limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *[ctypes.c_ulong(0)] * 4)
