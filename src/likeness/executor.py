"""The one rule of threads.

A comparison that has the machine to itself spreads its two photos, and the faces of each, over the calling thread and
the pool's. Where several comparisons run at once, each keeps to its own thread. Networks have no threads of their own.
The caller takes part in the work it submits and waits only for started tasks, and so never for a thread that is busy,
or can no longer be started because the interpreter ends.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import Protocol, TypeVar
from weakref import WeakSet

from likeness.errors import ComparerUnusable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Map(Protocol):
    """Does work for each item and gives the results in order, as `map` does, in one thread or in several."""

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]: ...


def in_turn(work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
    """`work` of each item, in the calling thread."""
    return [work(item) for item in items]


class Executor:
    """Runs comparisons on at most `threads` threads. It may be used in a child that the process forks.

    ComparerUnusable where it is used after `close`, and in a child that was forked while a comparison ran.
    """

    def __init__(self, threads: int) -> None:
        self._helpers = threads - 1
        self._refused = ""
        self._start()
        _EXECUTORS.add(self)

    @contextmanager
    def running(self) -> Iterator[Map]:
        """How a comparison does its work, for as long as it runs."""
        with self._counting:
            if self._refused:
                raise ComparerUnusable(self._refused)
            self._running += 1
            alone = self._running == 1
        try:
            yield self._spread if alone and self._pool else in_turn
        finally:
            with self._counting:
                self._running -= 1

    def close(self) -> None:
        """Waits for running work and ends the threads."""
        with self._counting:
            self._refused = "this Comparer is closed; make a new one"
        if self._pool:
            self._pool.shutdown()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(self._helpers, thread_name_prefix="likeness") if self._helpers else None
        self._counting = Lock()
        self._running = 0

    def after_fork(self) -> None:
        """The child has none of the parent's threads, and what one of them was doing stays half done."""
        if self._running:
            self._refused = (
                "this process was forked while a Comparer was comparing or loading; "
                "fork before that, or start processes with the method spawn"
            )
        self._start()

    def _spread(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
        """`work` of each item. The calling thread takes the first and then one after the other, and so does each thread
        that is free.
        """
        if len(items) < 2:
            return in_turn(work, items)
        results: dict[int, Result] = {}
        places = count(1)

        def take(place: int) -> None:
            while place < len(items):
                results[place] = work(items[place])
                place = next(places)

        def help_out() -> None:
            take(next(places))

        helping = self._helped(help_out, min(self._helpers, len(items) - 1))
        try:
            take(0)
        finally:
            begun = [each for each in helping if not each.cancel()]
        for each in begun:
            each.result()
        return [results[place] for place in range(len(items))]

    def _helped(self, help_out: Callable[[], None], helpers: int) -> list["Future[None]"]:
        """`help_out` submitted to so many threads; to none where the pool takes no more."""
        try:
            return [self._pool.submit(help_out) for _ in range(helpers)] if self._pool else []
        except RuntimeError:  # closed meanwhile, or the main thread has ended
            return []


_EXECUTORS: "WeakSet[Executor]" = WeakSet()


def _after_fork() -> None:
    for executor in list(_EXECUTORS):
        executor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
