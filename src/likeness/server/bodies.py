"""Request bodies: read up to a size limit, at a minimum rate, and within a memory limit for all bodies together.

Octets are counted as they arrive, whatever Content-Length says. When the memory is used up, nothing more is read;
callers that hold little of it come first, and slow bodies are refused.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from likeness.aws.errors import BodyTooLarge
from likeness.errors import Throttled
from likeness.server.request_context import RequestContext

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: What a client may send beyond the limit and still get its 413: closing while it sends would lose the response.
_DISCARDED_BYTES = 64 * 1024 * 1024
#: How long a body may be slower than the minimum rate.
_GRACE_SECONDS = 5.0
#: While others wait for memory, a body that is slower than this for this long is refused.
_YIELDING_BYTES_PER_SECOND = 64 * 1024
_YIELDING_SECONDS = 0.5
#: How often waiting bodies check whether another must be refused.
_POLL_SECONDS = 0.25
#: The most time between two ticks that is held against senders: less than what makes one slow.
_TICK_SECONDS = 0.25
#: Bodies with at most this Content-Length have a quarter more memory for themselves: they do not wait for large ones.
SMALL_BYTES = 1024 * 1024


class ClientLeft(Exception):
    """The client closed the connection before the answer."""


class BodyTooSlow(Exception):
    """The body did not arrive in time, or slower than the least rate."""


@dataclass(slots=True)
class LoopClock:
    """Seconds in which the event loop served its clients: it stands still while the loop is held up.

    `tick` is to be called in the loop, many times a second.
    """

    _seconds: float = 0.0
    _ticked: float = field(default_factory=time.monotonic)

    def __call__(self) -> float:
        return self._seconds + min(time.monotonic() - self._ticked, _TICK_SECONDS)

    def tick(self) -> None:
        self._seconds, self._ticked = self(), time.monotonic()


@dataclass(slots=True)
class _Lag:
    """How many seconds a sender is behind a rate; being ahead is not saved up."""

    bytes_per_second: float
    seconds: float = 0.0

    def note(self, waited: float, octets: int) -> None:
        self.seconds = max(0.0, self.seconds + waited - octets / self.bytes_per_second)


@dataclass(eq=False, slots=True)
class BodyShare:
    """The part of the memory that one body holds."""

    caller: str | None
    is_small: bool = False
    number: int = 0
    octets: int = 0
    lag: _Lag = field(default_factory=lambda: _Lag(_YIELDING_BYTES_PER_SECOND))
    #: When the current wait for the sender began, as all times here but deadlines by the memory's clock.
    asked_at: float | None = None
    timeout: asyncio.Timeout | None = None
    must_yield: bool = False

    def is_slow(self, now: float) -> bool:
        """Whether the server waits for its sender, which has been slow."""
        return self.asked_at is not None and self.lag.seconds + now - self.asked_at > _YIELDING_SECONDS

    def yield_now(self, now: float) -> None:
        """Ends the wait for its sender, so that the body is refused."""
        self.must_yield = True
        if self.timeout is not None and not self.timeout.expired():
            self.timeout.reschedule(now)


@dataclass(eq=False, slots=True)
class _Waiter:
    share: BodyShare
    octets: int
    granted: asyncio.Future[None]


@dataclass(slots=True)
class BodyMemory:
    """The memory for all bodies of a worker. For one event loop."""

    capacity_bytes: int
    clock: LoopClock = field(default_factory=LoopClock)
    used: int = 0
    _shares: set[BodyShare] = field(default_factory=set)
    _waiters: list[_Waiter] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def share(self, caller: str | None, announced: int | None = None) -> Iterator[BodyShare]:
        """A share for a body of `caller`, empty at first and released at the end.

        `announced` is its Content-Length; None: unknown.
        """
        small = announced is not None and announced <= SMALL_BYTES
        share = BodyShare(caller, small, next(self._numbers))
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)
            self._waiters = [waiter for waiter in self._waiters if waiter.share is not share]
            self.used -= share.octets
            self._grant()

    async def grow(self, share: BodyShare, octets: int, deadline: float) -> None:
        """Adds octets that have arrived to a share; waits until there is memory for them.

        Raises Throttled when there is none by `deadline` (`loop.time()`), or when this body must yield to others.
        """
        if (share.is_small or not self._waiters) and self._has_room(share, octets):
            self.used += octets
            share.octets += octets
            return
        loop = asyncio.get_running_loop()
        waiter = _Waiter(share, octets, loop.create_future())
        self._waiters.append(waiter)
        try:
            while not waiter.granted.done():
                now = loop.time()
                self._grant()
                self._relieve(now)
                if now >= deadline or share.must_yield:
                    raise Throttled("no memory for the request's body; see body_memory_bytes")
                await asyncio.wait([waiter.granted], timeout=min(_POLL_SECONDS, deadline - now))
        finally:
            share.asked_at = None
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._grant()

    def _has_room(self, share: BodyShare, octets: int) -> bool:
        capacity = self.capacity_bytes + (self.capacity_bytes // 4 if share.is_small else 0)
        return self.used + octets <= capacity

    def _grant(self) -> None:
        """Serves callers that hold less than an equal share first; among them, the body that began first.

        The others get nothing while a body of such a caller is arriving: between two of its pieces they would take all
        the memory that was released for it.
        """
        while self._waiters:
            held = self._held_by_caller()
            equal_share = self.capacity_bytes / len(held)
            first = min(
                self._waiters,
                key=lambda each: (not each.share.is_small, held[each.share.caller] > equal_share, each.share.number),
            )
            is_beyond = not first.share.is_small and held[first.share.caller] > equal_share
            if not self._has_room(first.share, first.octets) or (
                is_beyond and self._is_one_arriving(held, equal_share)
            ):
                return
            self._waiters.remove(first)
            self.used += first.octets
            first.share.octets += first.octets
            first.share.asked_at = self.clock()  # its task resumes later, and then asks for the next piece
            first.granted.set_result(None)

    def _is_one_arriving(self, held: dict[str | None, int], equal_share: float) -> bool:
        """Whether the body of a caller that holds less than `equal_share` is arriving, and not slowly."""
        now = self.clock()
        return any(
            share.asked_at is not None and not share.is_slow(now) and held[share.caller] <= equal_share
            for share in self._shares
        )

    def _held_by_caller(self) -> dict[str | None, int]:
        held: dict[str | None, int] = {}
        for share in self._shares:
            held[share.caller] = held.get(share.caller, 0) + share.octets
        return held

    def _relieve(self, now: float) -> None:
        """Makes one body at a time yield: one with a slow sender, or the last one where none could proceed.

        `now` is the loop's time.
        """
        if any(share.must_yield for share in self._shares):
            return
        slow = [share for share in self._shares if share.octets and share.is_slow(self.clock())]
        if slow:
            max(slow, key=lambda share: share.octets).yield_now(now)
            return
        waiting = {each.share for each in self._waiters}
        if self._shares <= waiting:  # every body is incomplete and waits for memory that others hold
            held = self._held_by_caller()
            equal_share = self.capacity_bytes / len(held)
            # The last has least to lose, but may hold too little to help a caller that is below its share.
            by_octets = len(held) > 1 and any(held[share.caller] <= equal_share for share in waiting)
            last = max(waiting, key=lambda each: (held[each.caller], by_octets * each.octets, each.number))
            last.must_yield = True


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The size limit of a body, the time limit for all of it, and its minimum rate after the grace period."""

    bytes: int
    seconds: float
    least_bytes_per_second: float


async def read_body(
    context: RequestContext, receive: Receive, *, limits: BodyLimits, memory: BodyMemory, share: BodyShare
) -> bytearray:
    """The whole body. Raises BodyTooLarge, BodyTooSlow, ClientLeft, Throttled."""
    deadline = asyncio.get_running_loop().time() + limits.seconds
    lag = _Lag(limits.least_bytes_per_second)
    body = bytearray()
    too_large = (declared_bytes(context) or 0) > limits.bytes
    more = not (too_large and _waits_for_leave(context))
    while more:
        try:
            message = await _receive(receive, memory.clock, share, lag, deadline)
        except BodyTooSlow:
            if too_large:
                break
            raise
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        context.body_bytes += len(piece)
        if context.body_bytes > limits.bytes:
            too_large = True
        if too_large:
            body = bytearray()
            more = more and context.body_bytes <= limits.bytes + _DISCARDED_BYTES
        else:
            await memory.grow(share, len(piece), deadline)
            body += piece
    if too_large:
        raise BodyTooLarge(f"the body has more than {limits.bytes} bytes")
    return body


async def _receive(
    receive: Receive, clock: LoopClock, share: BodyShare, lag: _Lag, deadline: float
) -> MutableMapping[str, Any]:
    """The next piece of the body. Raises BodyTooSlow when its sender takes too long, Throttled when it must yield."""
    share.asked_at = asked_at = clock()
    until = asyncio.get_running_loop().time() + _GRACE_SECONDS - lag.seconds
    octets = 0
    try:
        message = await _arriving(receive, share, min(deadline, until))
        octets = len(message.get("body", b""))
        return message
    except TimeoutError as error:
        raise BodyTooSlow(
            f"the body did not arrive in time, or was slower than {lag.bytes_per_second:g} bytes a second: "
            "see body_timeout_seconds and least_body_bytes_per_second"
        ) from error
    finally:
        share.timeout = share.asked_at = None
        for each in (lag, share.lag):
            each.note(clock() - asked_at, octets)


async def _arriving(receive: Receive, share: BodyShare, until: float) -> MutableMapping[str, Any]:
    """The next piece that has arrived by `until` (`loop.time()`). Raises TimeoutError, Throttled."""
    try:
        async with asyncio.timeout_at(until) as share.timeout:
            return await receive()
    except TimeoutError as error:
        if share.must_yield:
            raise Throttled("the body came slowly while others waited for memory; see body_memory_bytes") from error
    async with asyncio.timeout(0):  # it may have arrived although the event loop was late
        return await receive()


def declared_bytes(context: RequestContext) -> int | None:
    """The Content-Length, None without one. The HTTP parser has checked that it is a number."""
    value = context.header("content-length")
    return int(value) if value is not None else None


def _waits_for_leave(context: RequestContext) -> bool:
    """Whether the client waits for 100 Continue, so that it can be refused before it sends the body."""
    return (context.header("expect") or "").lower() == "100-continue"
