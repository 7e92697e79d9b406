"""Fair queuing: callers share the capacity by the time that their requests take, so heavy ones delay only themselves.

Start-time fair queuing (Goyal, Vin, Cheng 1996) in two levels: between callers, and for each caller between its cheap
and its costly requests. A caller is charged the expected time when a request starts, and the actual time when it ends;
the next request is that of the caller with the least use. A returning caller starts at the current virtual time.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Expected time of a request besides decoding; the actual time is known when it ends.
_BASE_SECONDS = 0.05
#: Requests whose photos take longer to decode wait in a separate queue, and leave one place to the others.
COSTLY_SECONDS = 0.5
#: The weight of a costly second: the other requests get three quarters of the time.
_COSTLY_WEIGHT = 3.0
_REMEMBERED_CALLERS = 256
#: Photos under this part of the bytes for all are small.
_SMALL = 16


@dataclass(eq=False, slots=True)
class Ticket:
    """A request that wants a place. `pixel_bytes` is what its decoded photos may take, `stores` where it reads them."""

    caller: str = ""
    decoding_seconds: float = 0.0
    pixel_bytes: int = 0
    stores: set[int] = field(default_factory=set)
    #: False: no place by the deadline; None: it yielded its place in the queue to another caller's request.
    turn: "asyncio.Future[bool | None] | None" = None

    @property
    def seconds(self) -> float:
        """What it is expected to take."""
        return _BASE_SECONDS + self.decoding_seconds

    @property
    def is_costly(self) -> bool:
        """Whether it waits with the costly ones."""
        return self.decoding_seconds > COSTLY_SECONDS

    def charge(self, seconds: float) -> float:
        """What so many seconds count for it."""
        return seconds * (_COSTLY_WEIGHT if self.is_costly else 1.0)


@dataclass(eq=False, slots=True)
class _Line:
    """Requests of one caller and of one kind, first come first served, and the time that such requests have used."""

    used: float = 0.0
    running: int = 0
    waiting: deque[Ticket] = field(default_factory=deque)

    @property
    def backlog(self) -> float:
        """The seconds that its waiting requests are expected to take."""
        return sum(ticket.seconds for ticket in self.waiting)


@dataclass(eq=False, slots=True)
class _Caller:
    cheap: _Line = field(default_factory=_Line)
    costly: _Line = field(default_factory=_Line)
    used: float = 0.0
    #: The use of the queue whose request started last; a queue that was empty resumes from there.
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
    """Hands out `places`, and no more than `pixel_bytes` among them unless one large request alone needs more.

    Of those that read from one store no more than `most_of_store` run. For one event loop.
    """

    def __init__(self, places: int, pixel_bytes: int | None = None, most_of_store: int | None = None) -> None:
        self.places = places
        self.free = places
        self.waiting = 0
        self.pixel_bytes_used = 0
        self._pixel_bytes = pixel_bytes
        self._most_of_store = most_of_store or places
        self._reading: Counter[int] = Counter()
        self._callers: dict[str, _Caller] = {}
        self._running_costly = 0
        self._start = 0.0

    async def take(self, ticket: Ticket, deadline: float) -> bool | None:
        """Waits for a place; False when none is to be had by `deadline` (`loop.time()`), None when it had to yield.

        Cancelled, it takes nothing.
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
        alarm = loop.call_at(deadline, self._refuse, ticket, False)
        try:
            return await ticket.turn
        except asyncio.CancelledError:
            if ticket.turn.done() and not ticket.turn.cancelled() and ticket.turn.result():
                self.give(ticket, 0.0)  # granted and cancelled in the same moment
            else:
                self._refuse(ticket, False)
            raise
        finally:
            alarm.cancel()

    def give(self, ticket: Ticket, seconds: float) -> None:
        """Gives the place of a ticket back, which was used for so long."""
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
        """Notes that a running request reads no more from a store."""
        ticket.stores.discard(store)
        self._reading[store] -= 1
        self._admit()

    def displace(self, newcomer: Ticket) -> bool:
        """Makes a waiting request yield to `newcomer`; False where none is of a caller, or kind, that has more waiting.

        It is the newest request in the costliest queue of the caller with most waiting.
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
            if ticket.turn is None or ticket.turn.done():  # cancelled, and not yet awake to leave the line
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
        costly_may = self._running_costly < max(1, self.places - 1)
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
        """What a request takes of the bytes; small photos are not counted, and wait for no large ones."""
        return ticket.pixel_bytes if self._pixel_bytes and ticket.pixel_bytes * _SMALL > self._pixel_bytes else 0

    def _refuse(self, ticket: Ticket, answer: bool | None) -> None:
        """Takes a ticket out of its line; nothing where it has left it."""
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
        """Drops idle callers without debt; when there are many, all idle ones."""
        for name, caller in list(self._callers.items()):
            if caller.is_idle and (caller.used <= self._start or len(self._callers) > _REMEMBERED_CALLERS):
                del self._callers[name]


def _backlog(caller: _Caller) -> float:
    return sum(line.backlog for line in caller.lines)
