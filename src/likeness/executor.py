"""The one rule of threads.

A comparison that runs alone distributes its two photos, and the networks' runs on the faces of each, over the calling
thread and the pool's. When several comparisons run, each uses its own thread only, and so does one in a thread that
yields the processors (`system.processors.yield_processors`): the pool's threads do not. Networks start no threads. The
caller does part of the work itself and waits only for tasks that have started, never for a thread that is busy or can
no longer be started.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from threading import Lock
from typing import Protocol, TypeVar
from weakref import WeakSet

from likeness.errors import ComparerUnusable
from likeness.system.processors import yields_processors

Item = TypeVar("Item")
Result = TypeVar("Result")


class Map(Protocol):
    """Applies `work` to each item, in one thread or several; the results are in order."""

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]: ...


def in_turn(work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
    """A `Map` in the calling thread."""
    return [work(item) for item in items]


class Executor:
    """Runs comparisons on at most `threads` threads. Raises ComparerUnusable as documented for `Comparer`."""

    def __init__(self, threads: int) -> None:
        self._helpers = threads - 1
        self._refused = ""
        self._start()
        _EXECUTORS.add(self)

    @contextmanager
    def running(self) -> Iterator[Map]:
        """The `Map` of a comparison, for as long as it runs. Raises ComparerUnusable."""
        with self._counting:
            if self._refused:
                raise ComparerUnusable(self._refused)
            self._running += 1
            alone = self._running == 1
        try:
            yield self._spread if alone and self._helpers and not yields_processors() else in_turn
        finally:
            with self._counting:
                self._running -= 1

    def close(self) -> None:
        """Waits for running work and ends the threads."""
        with self._counting:
            self._refused = "this Comparer is closed; make a new one"
        self._pool.shutdown()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(max(self._helpers, 1), thread_name_prefix="likeness")
        self._counting = Lock()
        self._running = 0

    def after_fork(self) -> None:
        """Starts again in a child, which has none of the parent's threads."""
        if self._running:
            self._refused = (
                "this process was forked while a Comparer was comparing or loading; "
                "fork before that, or start processes with the method spawn"
            )
        self._start()

    def _spread(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
        """A `Map` in which each free thread takes one item after the other, the calling thread the first."""
        results: dict[int, Result] = {}
        places = count(1)

        def take(place: int) -> None:
            while place < len(items):
                results[place] = work(items[place])
                place = next(places)

        helping: list[Future[None]] = []
        # RuntimeError: the pool was closed meanwhile, the main thread has ended, or the system refuses a thread.
        with suppress(RuntimeError):
            helpers = range(min(self._helpers, len(items) - 1))
            helping.extend(self._pool.submit(lambda: take(next(places))) for _ in helpers)
        try:
            take(0)
        finally:
            started = [each for each in helping if not each.cancel()]
        for each in started:
            each.result()
        # The task of a thread that the system refuses stays in the pool, where another may have taken a place with it.
        return [results[place] if place in results else work(items[place]) for place in range(len(items))]


_EXECUTORS: "WeakSet[Executor]" = WeakSet()


def _start_again() -> None:
    for executor in list(_EXECUTORS):
        executor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
