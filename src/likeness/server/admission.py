"""Who may start, and when (decision 19): a bounded queue before a fixed number of threads.

Nothing waits past its deadline, nothing waits where it cannot be counted, and whoever goes away gives the place free.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TypeVar

from likeness.errors import Throttled

T = TypeVar("T")


class Overloaded(Throttled):
    """The server itself cannot take the request now (specification section 7.1: HTTP 500, "Service Unavailable")."""

    service_message = "Service Unavailable"
    http_status = 500


class Turnstile:
    """Hands out `capacity` units to those who wait, first come first served. For one event loop."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.free = capacity
        self._waiting: deque[tuple[int, asyncio.Future[bool]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self, units: int, deadline: float) -> bool:
        """Waits for `units`; False when they are not to be had by `deadline` (`loop.time()`).

        Cancelled, it takes nothing.
        """
        if not self._waiting and self.free >= units:
            self.free -= units
            return True
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        entry = (units, turn)
        self._waiting.append(entry)
        alarm = loop.call_at(deadline, _settle, turn, False)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give(units)  # granted and cancelled in the same moment
            raise
        finally:
            alarm.cancel()
            with suppress(ValueError):
                self._waiting.remove(entry)
            self._admit()

    def give(self, units: int) -> None:
        """Gives `units` back."""
        self.free += units
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.free >= self._waiting[0][0]:
            units, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= units
                turn.set_result(True)


def _settle(turn: asyncio.Future[bool], granted: bool) -> None:
    if not turn.done():
        turn.set_result(granted)


class Admission:
    """A queue of `max_queue` requests, in all workers together, before `threads` threads.

    `count_waiting` is told how many wait here, and returns how many wait in all workers.
    """

    def __init__(
        self, threads: int, max_queue: int, pool: Executor, *, count_waiting: Callable[[int], int] = lambda here: here
    ) -> None:
        self._count_waiting = count_waiting
        self._places = Turnstile(threads)
        self._max_queue = max_queue
        self._pool = pool

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._places.waiting

    @property
    def running(self) -> int:
        """Requests being worked on."""
        return self._places.capacity - self._places.free

    async def enter(self, deadline: float) -> None:
        """Waits for a place among those that run; `run` must follow at once.

        Raises Throttled when the queue is full, or the turn has not come by `deadline` (`loop.time()`). Cancelled, it
        leaves the queue.
        """
        if self._places.free == 0:
            everywhere = self._count_waiting(self.waiting)
            if everywhere >= self._max_queue:
                raise Throttled(f"the queue is full: {everywhere} requests wait")
            self._count_waiting(self.waiting + 1)
        try:
            taken = await self._places.take(1, deadline)
        finally:
            self._count_waiting(self.waiting)
        if not taken:
            raise Throttled(f"no turn before the deadline: {self.waiting} requests wait, {self.running} run")

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, run in a thread. The place of `enter` is free again when the thread is done.

        That is also so when this is cancelled: a thread cannot be stopped.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        try:
            running = self._pool.submit(work)
        except RuntimeError:
            self._places.give(1)
            raise

        # Neither refers to the thread's future, which keeps its callbacks: in a circle answers would wait for the
        # garbage collector.
        def leave(finished: Future[T]) -> None:
            # First, so that the thread gets its next work before this one's answer is written.
            self._places.give(1)
            if done.done():
                return
            error = finished.exception()
            if error is None:
                done.set_result(finished.result())
            else:
                done.set_exception(error)

        def tell(finished: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                loop.call_soon_threadsafe(leave, finished)

        # Waking the loop costs the thread a turn with the interpreter: once, where `asyncio.wrap_future` does it again.
        running.add_done_callback(tell)
        return await done
