"""Admission of requests (decision 19): a bounded queue before a fixed number of threads.

Every waiting request is counted and has a deadline, and a client that disconnects frees its place. The next request
waits in the pool itself, where the thread that ends a comparison takes it without waiting for the event loop.

A worker has two: requests whose photos take long to decode have a queue and threads of their own, which get a processor
after all others. One of them runs for seconds, and would hold up whatever waits behind it. For the same reason no
caller takes all of these threads, and none of these requests is chosen ahead.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TypeVar

from likeness.errors import Throttled
from likeness.server.fair_queue import FairQueue, Ticket

T = TypeVar("T")

#: Requests that wait in the pool. With one, a thread keeps its processor and its caches: 3 % more pairs a second.
_AHEAD = 1
#: Requests whose photos take longer to decode are costly.
COSTLY_SECONDS = 0.5


def costly_threads(threads: int) -> int:
    """How many threads for costly requests a worker has besides `threads` others: at most all but one for a caller."""
    return max(2, threads)


def places(threads: int, pixel_bytes: int | None = None) -> FairQueue:
    """The places of `threads` threads; `pixel_bytes` as for FairQueue."""
    return FairQueue(threads + _AHEAD, pixel_bytes)


def costly_places(threads: int, pixel_bytes: int) -> FairQueue:
    """The places of `threads` threads for costly requests."""
    return FairQueue(threads, pixel_bytes, most_of_caller=threads - 1)


class Unavailable(Throttled):
    """The server can take no request now (specification section 7.1: HTTP 500, "Service Unavailable")."""

    service_message = "Service Unavailable"
    http_status = 500


class Admission:
    """A queue of at most `max_queue` requests over all workers, in front of `threads` threads.

    `queue` has the places; None: without a limit of memory. Up to `own_queue` of the requests wait here whatever waits
    in other workers; None: `max_queue`. `count_waiting` takes the number of requests that wait here and returns that of
    all workers.
    """

    def __init__(
        self,
        threads: int,
        max_queue: int,
        pool: Executor,
        *,
        queue: FairQueue | None = None,
        own_queue: int | None = None,
        count_waiting: Callable[[int], int] = lambda here: here,
    ) -> None:
        self._count_waiting = count_waiting
        self._threads = threads
        self._places = queue or places(threads)
        self._max_queue = max_queue
        self._own_queue = max_queue if own_queue is None else own_queue
        self._pool = pool

    @property
    def waiting(self) -> int:
        """Requests in the queue and in the pool, which no thread has begun."""
        return self._places.waiting + max(0, self._taken - self._threads)

    @property
    def waiting_everywhere(self) -> int:
        """Requests that wait here and in all other workers."""
        return self._count_waiting(self.waiting)

    @property
    def running(self) -> int:
        """Requests being worked on."""
        return min(self._threads, self._taken)

    @property
    def _taken(self) -> int:
        return self._places.places - self._places.free

    async def enter(self, ticket: Ticket, deadline: float) -> None:
        """Waits until it is the turn of `ticket`; `run` must follow immediately.

        Raises Throttled when the queue is full and no other caller has more of it, or when no place is free by
        `deadline` (`loop.time()`). Cancelling it leaves the queue.
        """
        if self._taken >= self._threads or self._places.waiting:
            everywhere = self.waiting_everywhere
            is_full = everywhere >= self._max_queue and self.waiting >= self._own_queue
            if is_full and not self._places.displace(ticket):
                raise Throttled(f"the queue is full: {everywhere} requests wait")
            self._count_waiting(self.waiting + 1)
        try:
            taken = await self._places.take(ticket, deadline)
        finally:
            self._count_waiting(self.waiting)
        if taken is None:
            raise Throttled("the queue is full, and this caller has most of what waits")
        if not taken:
            raise self._late()

    def _late(self) -> Throttled:
        return Throttled(f"no turn before the deadline: {self.waiting} requests wait, {self.running} run")

    async def run(self, ticket: Ticket, work: Callable[[], T], deadline: float) -> T:
        """What `work` returns or raises, run in a thread. The place from `enter` is freed when the thread is done.

        That also holds after a cancellation: a running thread cannot be stopped. Raises Throttled when no thread has
        begun by `deadline`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def begin() -> T:
            ticket.begun = loop.time()
            return work()

        try:
            running = self._pool.submit(begin)
        except RuntimeError:
            self._places.give(ticket, 0.0)
            raise

        # The callbacks do not refer to `running`, which holds them: a reference cycle would keep answers until the
        # next garbage collection.
        def leave(finished: Future[T]) -> None:
            # First, so that the thread gets its next work before this answer is written.
            self._places.give(ticket, 0.0 if ticket.begun is None else loop.time() - ticket.begun)
            self._count_waiting(self.waiting)
            if done.done():
                return
            error = self._late() if finished.cancelled() else finished.exception()
            if error is None:
                done.set_result(finished.result())
            else:
                done.set_exception(error)

        def notify(finished: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nothing waits
                loop.call_soon_threadsafe(leave, finished)

        # Waking the loop makes the thread give up the interpreter lock: once here, twice with `asyncio.wrap_future`.
        running.add_done_callback(notify)
        timer = loop.call_at(deadline, running.cancel)
        try:
            return await done
        finally:
            timer.cancel()
            running.cancel()
