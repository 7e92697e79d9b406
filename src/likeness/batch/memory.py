"""The number of threads for a limit of memory."""

from likeness.batch.errors import BatchError
from likeness.system.processors import thread_budget

#: The interpreter with networks and descriptions, and, per thread, a photo of 12 megapixels and what networks need for
#: it.
_BASE_BYTES, _BYTES_A_THREAD = 350 << 20, 150 << 20


def threads_within(max_bytes: int | None) -> int:
    """The threads for analysing photos: all that the process may use, or as many as fit into `max_bytes`.

    Raises BatchError if none fits.
    """
    threads = thread_budget()
    if max_bytes is None:
        return threads
    if max_bytes < _BASE_BYTES + _BYTES_A_THREAD:
        raise BatchError(
            f"--memory {max_bytes >> 20}M is too little; {_BASE_BYTES + _BYTES_A_THREAD >> 20}M are needed"
        )
    return min(threads, (max_bytes - _BASE_BYTES) // _BYTES_A_THREAD)
