"""Fair queuing: callers share the capacity by the time that their requests take, so heavy ones delay only themselves.

Start-time fair queuing (Goyal, Vin, Cheng 1996). A caller is charged the expected time when a request starts and
corrected to the actual time when it ends; the caller that has used least comes next. A returning caller starts at the
current virtual time.

Memory for decoded photos is shared in the same order: while the next request waits for memory, no later one takes any,
so no caller starves another by requests that fit beside each other. Small requests, which take none, pass.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

#: The expected time of a request apart from decoding.
_BASE_SECONDS = 0.05
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


@dataclass(eq=False, slots=True)
class _Caller:
    """The requests of one caller, first come, first served, and the time that they have used."""

    used: float = 0.0
    running: int = 0
    waiting: deque[Ticket] = field(default_factory=deque)

    @property
    def is_idle(self) -> bool:
        return not self.running and not self.waiting

    @property
    def backlog(self) -> float:
        """The seconds that the waiting requests are expected to take."""
        return sum(ticket.seconds for ticket in self.waiting)


class FairQueue:
    """Grants up to `places` places, within `pixel_bytes` for all of them unless one large request alone needs more.

    At most `most_of_store` of the running requests read from one store, and at most `most_of_caller` are one caller's.
    Not thread-safe: for one event loop.
    """

    def __init__(
        self,
        places: int,
        pixel_bytes: int | None = None,
        *,
        most_of_store: int | None = None,
        most_of_caller: int | None = None,
    ) -> None:
        self.places = places
        self.free = places
        self.waiting = 0
        self.pixel_bytes_used = 0
        self._pixel_bytes = pixel_bytes
        self._most_of_store = most_of_store or places
        self._most_of_caller = most_of_caller or places
        self._reading: Counter[int] = Counter()
        self._callers: dict[str, _Caller] = {}
        self._start = 0.0

    async def take(self, ticket: Ticket, deadline: float) -> bool | None:
        """Waits for a place; True, False when none is free by `deadline` (`loop.time()`), or None when it must yield.

        When cancelled, it takes no place.
        """
        caller = self._arrive(ticket)
        loop = asyncio.get_running_loop()
        ticket.turn = loop.create_future()
        caller.waiting.append(ticket)
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
        caller.running -= 1
        self.free += 1
        self._reading.subtract(ticket.stores)
        self.pixel_bytes_used -= self._counted(ticket)
        caller.used += seconds - ticket.seconds
        self._forget()
        self._admit()

    def leave_store(self, ticket: Ticket, store: int) -> None:
        """Records that a running request no longer reads from a store."""
        ticket.stores.discard(store)
        self._reading[store] -= 1
        self._admit()

    def displace(self, newcomer: Ticket) -> bool:
        """Makes a waiting request yield to `newcomer`; False if no other caller has a larger backlog.

        It is the newest request of the caller with the largest backlog.
        """
        own = self._callers.get(newcomer.caller, _Caller())
        heaviest = max(self._callers.values(), key=lambda each: each.backlog, default=own)
        if heaviest.backlog <= own.backlog + newcomer.seconds:
            return False
        self._refuse(heaviest.waiting[-1], None)
        return True

    def _arrive(self, ticket: Ticket) -> _Caller:
        caller = self._callers.setdefault(ticket.caller, _Caller())
        if caller.is_idle:
            caller.used = max(caller.used, self._start)
        return caller

    def _admit(self) -> None:
        while self.free and (first := self._next()) is not None:
            ticket = first.waiting.popleft()
            self.waiting -= 1
            if ticket.turn is None or ticket.turn.done():  # cancelled, and its task has not left the line yet
                continue
            self.free -= 1
            self._reading.update(ticket.stores)
            self.pixel_bytes_used += self._counted(ticket)
            self._start = max(self._start, first.used)
            first.used += ticket.seconds
            self._callers[ticket.caller] = self._callers.pop(ticket.caller)  # behind those that have used the same
            first.running += 1
            ticket.turn.set_result(True)

    def _next(self) -> _Caller | None:
        """The caller that has used least and may start a request; memory is kept free for the first that needs it.

        Callers that are passed over gain no credit. Otherwise one whose requests wait for memory would fall behind
        without end, and once memory is free would hold up all others for as long.
        """
        passed: list[_Caller] = []
        is_kept = False
        for caller in sorted((each for each in self._callers.values() if each.waiting), key=lambda each: each.used):
            ticket = caller.waiting[0]
            if caller.running < self._most_of_caller and self._stores_allow(ticket):
                if self._memory_allows(ticket, is_kept=is_kept):
                    for each in passed:
                        each.used = caller.used
                    return caller
                is_kept = True
            passed.append(caller)
        return None

    def _stores_allow(self, ticket: Ticket) -> bool:
        return all(self._reading[store] < self._most_of_store for store in ticket.stores)

    def _memory_allows(self, ticket: Ticket, *, is_kept: bool) -> bool:
        """`is_kept`: a request that comes before this one waits for the memory that is free."""
        counted = self._counted(ticket)
        if self._pixel_bytes is None or not counted:
            return True
        return not is_kept and (not self.pixel_bytes_used or self.pixel_bytes_used + counted <= self._pixel_bytes)

    def _counted(self, ticket: Ticket) -> int:
        """The pixel bytes that count for a request: 0 for a small one, which does not wait for large ones."""
        return ticket.pixel_bytes if self._pixel_bytes and ticket.pixel_bytes * _SMALL > self._pixel_bytes else 0

    def _refuse(self, ticket: Ticket, answer: bool | None) -> None:
        """Removes a ticket from its line, if it is still there."""
        caller = self._callers.get(ticket.caller)
        if caller is None or ticket not in caller.waiting:
            return
        caller.waiting.remove(ticket)
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
