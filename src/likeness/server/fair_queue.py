"""Fair queuing: callers share the capacity by the time that their requests take, so heavy ones delay only themselves.

Start-time fair queuing (Goyal, Vin, Cheng 1996) on two levels: between callers, and for each caller between its cheap
and its costly requests. A caller is charged the expected time when a request starts and corrected to the actual time
when it ends; the caller that has used least comes next. A returning caller starts at the current virtual time.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

#: The expected time of a request apart from decoding.
_BASE_SECONDS = 0.05
#: Requests whose photos take longer to decode wait in a separate queue and never use the last place.
COSTLY_SECONDS = 0.5
#: The weight of a second of costly requests: the others get three quarters of the time.
_COSTLY_WEIGHT = 3.0
_REMEMBERED_CALLERS = 256
#: A request that needs less than 1/16 of `pixel_bytes` is small.
_SMALL = 16


@dataclass(eq=False, slots=True)
class Ticket:
    """A request for a place. `pixel_bytes` is what its decoded photos may take; it reads from `stores`."""

    caller: str = ""
    decoding_seconds: float = 0.0
    pixel_bytes: int = 0
    stores: set[int] = field(default_factory=set)
    #: False: no place by the deadline; None: it yielded its place in the queue to another caller's request.
    turn: "asyncio.Future[bool | None] | None" = None
    #: When a thread began with it (`loop.time()`).
    begun: float | None = None

    @property
    def seconds(self) -> float:
        """The time that it is expected to take."""
        return _BASE_SECONDS + self.decoding_seconds

    @property
    def is_costly(self) -> bool:
        """Whether it waits in the queue of costly requests."""
        return self.decoding_seconds > COSTLY_SECONDS

    def charge(self, seconds: float) -> float:
        """The seconds that its caller is charged for `seconds` of it."""
        return seconds * (_COSTLY_WEIGHT if self.is_costly else 1.0)


@dataclass(eq=False, slots=True)
class _Line:
    """The requests of one caller and one kind, first come, first served, and the time that they have used."""

    used: float = 0.0
    running: int = 0
    waiting: deque[Ticket] = field(default_factory=deque)

    @property
    def backlog(self) -> float:
        """The seconds that the waiting requests are expected to take."""
        return sum(ticket.seconds for ticket in self.waiting)


@dataclass(eq=False, slots=True)
class _Caller:
    cheap: _Line = field(default_factory=_Line)
    costly: _Line = field(default_factory=_Line)
    used: float = 0.0
    #: The virtual time: `used` of the line whose request started last. An empty line resumes from there.
    start: float = 0.0

    @property
    def lines(self) -> tuple[_Line, _Line]:
        return self.cheap, self.costly

    @property
    def is_idle(self) -> bool:
        return not any(line.running or line.waiting for line in self.lines)

    def line(self, ticket: Ticket) -> _Line:
        return self.costly if ticket.is_costly else self.cheap


class FairQueue:
    """Grants up to `places` places, within `pixel_bytes` for all of them unless one large request alone needs more.

    At most `most_of_store` of the running requests read from one store, and at most `most_costly` are costly: by
    default, all but one, so that others get a place. Not thread-safe: for one event loop.
    """

    def __init__(
        self,
        places: int,
        pixel_bytes: int | None = None,
        *,
        most_of_store: int | None = None,
        most_costly: int | None = None,
    ) -> None:
        self.places = places
        self.free = places
        self.waiting = 0
        self.pixel_bytes_used = 0
        self._pixel_bytes = pixel_bytes
        self._most_of_store = most_of_store or places
        self._most_costly = most_costly or max(1, places - 1)
        self._reading: Counter[int] = Counter()
        self._callers: dict[str, _Caller] = {}
        self._running_costly = 0
        self._start = 0.0

    async def take(self, ticket: Ticket, deadline: float) -> bool | None:
        """Waits for a place; True, False when none is free by `deadline` (`loop.time()`), or None when it must yield.

        When cancelled, it takes no place.
        """
        caller = self._arrive(ticket)
        loop = asyncio.get_running_loop()
        ticket.turn = loop.create_future()
        line = caller.line(ticket)
        line.waiting.append(ticket)
        self.waiting += 1
        self._admit()
        if ticket.turn.done():
            return True
        timer = loop.call_at(deadline, self._refuse, ticket, False)
        try:
            return await ticket.turn
        except asyncio.CancelledError:
            if ticket.turn.done() and not ticket.turn.cancelled() and ticket.turn.result():
                self.give(ticket, 0.0)  # granted and cancelled at the same time
            else:
                self._refuse(ticket, False)
            raise
        finally:
            timer.cancel()

    def give(self, ticket: Ticket, seconds: float) -> None:
        """Releases the place of a ticket, which took `seconds`."""
        caller = self._callers[ticket.caller]
        line = caller.line(ticket)
        line.running -= 1
        self.free += 1
        self._reading.subtract(ticket.stores)
        self._running_costly -= ticket.is_costly
        self.pixel_bytes_used -= self._counted(ticket)
        caller.used += ticket.charge(seconds - ticket.seconds)
        line.used += ticket.charge(seconds - ticket.seconds)
        self._forget()
        self._admit()

    def leave_store(self, ticket: Ticket, store: int) -> None:
        """Records that a running request no longer reads from a store."""
        ticket.stores.discard(store)
        self._reading[store] -= 1
        self._admit()

    def displace(self, newcomer: Ticket) -> bool:
        """Makes a waiting request yield to `newcomer`; False if no other caller or kind of it has a larger backlog.

        It is the newest request of the line with the largest backlog, of the caller with the largest backlog.
        """
        own = self._callers.get(newcomer.caller, _Caller())
        heaviest = max(self._callers.values(), key=_backlog, default=own)
        if _backlog(heaviest) > _backlog(own) + newcomer.seconds:
            line = max(heaviest.lines, key=lambda each: each.backlog)
        elif own.costly.backlog > own.cheap.backlog + newcomer.seconds and not newcomer.is_costly:
            line = own.costly
        else:
            return False
        self._refuse(line.waiting[-1], None)
        return True

    def _arrive(self, ticket: Ticket) -> _Caller:
        caller = self._callers.setdefault(ticket.caller, _Caller())
        if caller.is_idle:
            caller.used = max(caller.used, self._start)
        line = caller.line(ticket)
        if not line.running and not line.waiting:
            line.used = max(line.used, caller.start)
        return caller

    def _admit(self) -> None:
        while self.free and (first := self._next()) is not None:
            caller, line = first
            ticket = line.waiting.popleft()
            self.waiting -= 1
            if ticket.turn is None or ticket.turn.done():  # cancelled, and its task has not left the line yet
                continue
            self.free -= 1
            self._running_costly += ticket.is_costly
            self._reading.update(ticket.stores)
            self.pixel_bytes_used += self._counted(ticket)
            self._start, caller.start = max(self._start, caller.used), max(caller.start, line.used)
            caller.used += ticket.charge(ticket.seconds)
            line.used += ticket.charge(ticket.seconds)
            line.running += 1
            ticket.turn.set_result(True)

    def _next(self) -> tuple[_Caller, _Line] | None:
        return min(self._startable(), key=lambda each: (each[0].used, each[1].used), default=None)

    def _startable(self) -> Iterator[tuple[_Caller, _Line]]:
        costly_may = self._running_costly < self._most_costly
        for caller in self._callers.values():
            if caller.cheap.waiting and self._fits(caller.cheap.waiting[0]):
                yield caller, caller.cheap
            if caller.costly.waiting and costly_may and self._fits(caller.costly.waiting[0]):
                yield caller, caller.costly

    def _fits(self, ticket: Ticket) -> bool:
        if any(self._reading[store] >= self._most_of_store for store in ticket.stores):
            return False
        counted = self._counted(ticket)
        if self._pixel_bytes is None or not counted or not self.pixel_bytes_used:
            return True
        return self.pixel_bytes_used + counted <= self._pixel_bytes

    def _counted(self, ticket: Ticket) -> int:
        """The pixel bytes that count for a request: 0 for a small one, which does not wait for large ones."""
        return ticket.pixel_bytes if self._pixel_bytes and ticket.pixel_bytes * _SMALL > self._pixel_bytes else 0

    def _refuse(self, ticket: Ticket, answer: bool | None) -> None:
        """Removes a ticket from its line, if it is still there."""
        line = self._callers[ticket.caller].line(ticket) if ticket.caller in self._callers else None
        if line is None or ticket not in line.waiting:
            return
        line.waiting.remove(ticket)
        self.waiting -= 1
        if ticket.turn is not None and not ticket.turn.done():
            ticket.turn.set_result(answer)
        self._forget()
        self._admit()

    def _forget(self) -> None:
        """Drops the idle callers that are not ahead of the virtual time; when there are many callers, all idle ones."""
        for name, caller in list(self._callers.items()):
            if caller.is_idle and (caller.used <= self._start or len(self._callers) > _REMEMBERED_CALLERS):
                del self._callers[name]


def _backlog(caller: _Caller) -> float:
    return sum(line.backlog for line in caller.lines)
