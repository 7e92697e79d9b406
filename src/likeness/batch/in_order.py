"""Whole photos or comparisons on several threads, in order: for batches and evaluations."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items in progress per thread: enough to keep all threads busy, and a limit of the memory.
_AHEAD = 2


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """The results of `work` in the order of the items, on `threads` threads; raises what `work` raises."""
    with ThreadPoolExecutor(threads, thread_name_prefix="likeness-map") as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= threads * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
