"""Pools whose threads all run before the first request."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from likeness.errors import SettingsError


def started_pool(threads: int, name: str, initializer: Callable[[], object] | None = None) -> ThreadPoolExecutor:
    """A pool of `threads` threads that run already.

    Otherwise it would start them for requests, which then fail where the system refuses a thread: without memory for
    its stack, or at the limit of processes. Raises SettingsError where it refuses one now.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=initializer)
    all_run = Barrier(threads)  # until then none is idle, so that each submission starts another
    try:
        for _ in range(threads):
            pool.submit(all_run.wait)
    except RuntimeError as error:
        all_run.abort()
        pool.shutdown(wait=False)
        raise SettingsError(
            f"the {threads} threads {name} cannot be started ({error}): lower `threads`, or raise the limit of "
            "processes or of memory"
        ) from error
    return pool
