"""The queue: order, shares, deadlines, and no lost places under any cancellation."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from likeness.server.fair_queue import FairQueue, Ticket


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def started(queue: FairQueue, tickets: Sequence[Ticket], seconds: dict[str, float], most: int) -> list[Ticket]:
    """The order in which `tickets`, all waiting from the start, get the places when each takes its caller's time."""
    order: list[Ticket] = []
    blocker = Ticket("nobody")
    assert await queue.take(blocker, later(60))

    async def visit(ticket: Ticket) -> None:
        if await queue.take(ticket, later(60)):
            order.append(ticket)
            await asyncio.sleep(0)
            queue.give(ticket, seconds.get(ticket.caller, 0.05))

    tasks = [asyncio.ensure_future(visit(ticket)) for ticket in tickets]
    await asyncio.sleep(0)
    queue.give(blocker, 0.05)
    await asyncio.gather(*tasks)
    return order[:most]


def test_first_come_first_served_for_one_caller() -> None:
    tickets = [Ticket("a") for _ in range(20)]
    assert asyncio.run(_in_a_new_queue(tickets)) == tickets


async def _in_a_new_queue(tickets: list[Ticket], **seconds: float) -> list[Ticket]:
    queue = FairQueue(1)
    order = await started(queue, tickets, seconds, len(tickets))
    assert (queue.free, queue.waiting) == (1, 0)
    return order


def test_a_light_caller_is_served_soon_despite_a_heavy_one() -> None:
    order = asyncio.run(_in_a_new_queue([*(Ticket("much") for _ in range(40)), Ticket("little"), Ticket("little")]))
    assert [ticket.caller for ticket in order].index("little") <= 2
    assert [ticket.caller for ticket in order[:5]].count("little") == 2


def test_callers_share_processing_time() -> None:
    """Nothing of the photos tells that one caller's requests take ten times as long."""
    tickets = [Ticket(caller) for _ in range(60) for caller in ("slow", "quick")]
    order = asyncio.run(_in_a_new_queue(tickets, slow=0.5, quick=0.05))
    counts = Counter(ticket.caller for ticket in order[:44])
    assert 8 <= counts["quick"] / counts["slow"] <= 12


def test_decoded_photos_have_their_bound_and_one_request_may_exceed_it_alone() -> None:
    async def scene() -> None:
        queue = FairQueue(4, pixel_bytes=100)
        large, small = Ticket("a", 0, 150), Ticket("b", 0, 60)
        assert await queue.take(large, later(60))
        waits = asyncio.ensure_future(queue.take(small, later(60)))
        await asyncio.sleep(0.01)
        assert not waits.done()
        queue.give(large, 0.1)
        assert await waits
        assert await queue.take(Ticket("c", 0, 40), later(60))
        assert await queue.take(Ticket("c", 0, 10), later(0.01)) is False
        assert await queue.take(Ticket("c", 0, 5), later(0.01)), "small photos wait for no large ones"

    asyncio.run(scene())


class Line:
    """A queue whose clients send one request after the other for ever; each runs for two turns of the loop."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        #: The callers, in the order of their grants.
        self.grants: list[str] = []
        self.running: list[Ticket] = []
        self._clients: list[asyncio.Task[None]] = []

    def add_client(self, caller: str, seconds: float, pixel_bytes: int) -> None:
        self._clients.append(asyncio.ensure_future(self._send(caller, seconds, pixel_bytes)))

    async def _send(self, caller: str, seconds: float, pixel_bytes: int) -> None:
        while True:
            ticket = Ticket(caller, seconds, pixel_bytes)
            assert await self.queue.take(ticket, later(60))
            self.grants.append(caller)
            self.running.append(ticket)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.running.remove(ticket)
            self.queue.give(ticket, ticket.seconds)

    async def turn(self) -> None:
        """One turn of the loop, in which at least one request is granted or runs."""
        granted = len(self.grants)
        await asyncio.sleep(0)
        assert self.running or len(self.grants) > granted or self.queue.free < self.queue.places
        assert all(not client.done() for client in self._clients)

    async def close(self) -> None:
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)


@pytest.mark.parametrize("needed", [1600, 800])
def test_large_photos_are_not_starved_by_those_of_another_caller(needed: int) -> None:
    """Neither a request that runs alone, nor one that fits beside none of the other's."""

    async def scene() -> list[str]:
        line = Line(FairQueue(2, pixel_bytes=1024))
        for _ in range(4):
            line.add_client("many", 0.1, 300)
        await line.turn()
        for _ in range(2):
            line.add_client("large", 0.1, needed)
        while len(line.grants) < 40:
            await line.turn()
        await line.close()
        return line.grants

    order = asyncio.run(scene())
    assert order.index("large") <= 4
    assert 15 <= order.count("large") <= 25


def test_small_photos_pass_while_memory_is_kept_for_large_ones() -> None:
    async def scene() -> None:
        queue = FairQueue(4, pixel_bytes=100)
        running = Ticket("a", 0, 60)
        assert await queue.take(running, later(60))
        large = asyncio.ensure_future(queue.take(Ticket("b", 0, 150), later(60)))
        await asyncio.sleep(0)
        assert await queue.take(Ticket("c", 0, 5), later(60))
        assert await queue.take(Ticket("c", 0, 30), later(0.01)) is False, "it would take what is kept"
        queue.give(running, 0.05)
        assert await asyncio.wait_for(large, 60)

    asyncio.run(scene())


@pytest.mark.parametrize("leaves", ["cancelled", "late", "displaced"])
def test_memory_is_no_longer_kept_for_a_request_that_leaves(leaves: str) -> None:
    async def scene() -> None:
        queue = FairQueue(4, pixel_bytes=100)
        assert await queue.take(Ticket("a", 0, 60), later(60))
        large = asyncio.ensure_future(queue.take(Ticket("b", 1, 150), later(0.02 if leaves == "late" else 60)))
        await asyncio.sleep(0)
        other = asyncio.ensure_future(queue.take(Ticket("c", 0, 30), later(60)))
        await asyncio.sleep(0)
        assert not other.done()
        if leaves == "cancelled":
            large.cancel()
        elif leaves == "displaced":
            assert queue.displace(Ticket("d"))
        assert await asyncio.wait_for(other, 60)

    asyncio.run(scene())


def test_a_request_that_waits_for_its_store_keeps_no_memory() -> None:
    async def scene() -> None:
        queue = FairQueue(4, pixel_bytes=100, most_of_store=1)
        assert await queue.take(Ticket("a", 0, 60, {0}), later(60))
        waits = asyncio.ensure_future(queue.take(Ticket("b", 0, 60, {0}), later(60)))
        await asyncio.sleep(0)
        assert await queue.take(Ticket("c", 0, 40, {1}), later(60))
        waits.cancel()

    asyncio.run(scene())


def test_a_store_is_free_for_the_next_request_when_one_has_read_it() -> None:
    """Whether it says so, or ends without; and once only."""

    async def scene() -> None:
        queue = FairQueue(4, most_of_store=1)
        running = Ticket("a", stores={0})
        assert await queue.take(running, later(60))
        for leaves in (True, True, False, False):
            following = Ticket("b", stores={0})
            waits = asyncio.ensure_future(queue.take(following, later(60)))
            await asyncio.sleep(0.01)
            assert not waits.done()
            if leaves:
                queue.leave_store(running, 0)
                assert await asyncio.wait_for(waits, 10)
            queue.give(running, 0.05)
            assert await asyncio.wait_for(waits, 10)
            running = following

    asyncio.run(scene())


def test_no_caller_takes_all_places() -> None:
    async def scene() -> None:
        queue = FairQueue(3, most_of_caller=2)
        first = Ticket("a")
        assert await queue.take(first, later(60))
        assert await queue.take(Ticket("a"), later(60))
        third = asyncio.ensure_future(queue.take(Ticket("a"), later(60)))
        await asyncio.sleep(0)
        assert await queue.take(Ticket("b"), later(60))
        assert not third.done()
        queue.give(first, 0.05)
        assert await asyncio.wait_for(third, 60)

    asyncio.run(scene())


def longest_wait(order: list[str], caller: str) -> int:
    """The most grants until a caller's next one."""
    served = [-1, *(number for number, each in enumerate(order) if each == caller), len(order)]
    return max(after - before for before, after in itertools.pairwise(served))


def test_a_caller_whose_photos_wait_for_memory_gains_no_credit() -> None:
    """Many small requests move the virtual time; the caller that waits must not be ahead of those that come later."""

    async def scene() -> list[str]:
        line = Line(FairQueue(3, pixel_bytes=160))
        for seconds, pixel_bytes in ((0.2, 160), (0.0, 60), (0.2, 120), (0.0, 300)):
            line.add_client("large", seconds, pixel_bytes)
        for _ in range(2):
            line.add_client("small", 0.2, 5)
        line.add_client("one at a time", 0.2, 60)
        while len(line.grants) < 300:
            await line.turn()
        await line.close()
        return line.grants

    order = asyncio.run(scene())
    assert {caller: longest_wait(order, caller) <= 20 for caller in order} == dict.fromkeys(order, True)


@settings(max_examples=50, deadline=None)
@given(
    clients=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.2]), st.sampled_from([5, 30, 60, 120, 160, 300])),
        min_size=2,
        max_size=10,
    ),
    places=st.integers(1, 4),
    most_of_caller=st.integers(1, 4),
)
@example(  # those that wait for memory come in turn, also when they have used the same
    clients=[("a", 0.2, 120), ("c", 0.2, 120), ("c", 0.0, 160), ("b", 0.2, 5), ("a", 0.2, 300)],
    places=3,
    most_of_caller=1,
)
def test_every_caller_is_served_while_others_keep_sending(
    clients: list[tuple[str, float, int]], places: int, most_of_caller: int
) -> None:
    """Whatever fits beside what. And no more memory is taken than there is, unless by a request alone."""
    limit = 160

    async def scene() -> list[str]:
        line = Line(FairQueue(places, limit, most_of_caller=most_of_caller))
        for client in clients:
            line.add_client(*client)
        while len(line.grants) < 200:
            await line.turn()
            taken = [ticket.pixel_bytes for ticket in line.running if ticket.pixel_bytes * 16 > limit]
            assert sum(taken) <= limit or len(taken) == 1
            assert len(line.running) <= places
        await line.close()
        return line.grants

    order = asyncio.run(scene())
    for caller, _, _ in clients:
        assert longest_wait(order, caller) <= 40


def test_a_full_queue_drops_a_request_of_the_caller_with_most() -> None:
    async def scene() -> None:
        queue = FairQueue(1)
        assert await queue.take(Ticket("much"), later(60))
        waiting = [asyncio.ensure_future(queue.take(Ticket("much"), later(60))) for _ in range(4)]
        await asyncio.sleep(0)
        assert not queue.displace(Ticket("much"))
        assert queue.displace(Ticket("little"))
        assert await waiting[-1] is None
        assert queue.waiting == 3
        for each in waiting:
            each.cancel()

    asyncio.run(scene())


def test_a_full_queue_drops_none_for_a_caller_that_would_have_as_much() -> None:
    async def scene() -> None:
        queue = FairQueue(1)
        assert await queue.take(Ticket("a"), later(60))
        waits = asyncio.ensure_future(queue.take(Ticket("b"), later(60)))
        await asyncio.sleep(0)
        assert not queue.displace(Ticket("c"))
        waits.cancel()

    asyncio.run(scene())


def test_an_idle_caller_gains_no_credit() -> None:
    async def scene() -> list[str]:
        queue = FairQueue(1)
        for _ in range(50):
            ticket = Ticket("busy")
            assert await queue.take(ticket, later(60))
            queue.give(ticket, 0.1)
        tickets = [Ticket(caller) for caller in ("new", "busy") for _ in range(20)]
        return [ticket.caller for ticket in await started(queue, tickets, {}, 20)]

    assert 6 <= asyncio.run(scene()).count("busy") <= 12


def test_callers_that_are_gone_are_forgotten() -> None:
    async def scene() -> int:
        queue = FairQueue(1)
        for number in range(1000):
            ticket = Ticket(f"caller {number}")
            assert await queue.take(ticket, later(60))
            queue.give(ticket, 1.0)
        return len(queue._callers)

    assert asyncio.run(scene()) <= 257


def test_callers_that_were_refused_are_forgotten() -> None:
    async def scene() -> None:
        queue = FairQueue(1)
        assert await queue.take(Ticket("a"), later(60))
        refused = [queue.take(Ticket(f"caller {number}"), later(0)) for number in range(300)]
        assert not any(await asyncio.gather(*refused))
        assert len(queue._callers) == 1

    asyncio.run(scene())


def test_a_request_past_its_deadline_is_refused_and_the_next_one_runs() -> None:
    async def scene() -> None:
        queue = FairQueue(1)
        first = Ticket("a")
        assert await queue.take(first, later(60))
        late = asyncio.ensure_future(queue.take(Ticket("b"), later(0.02)))
        await asyncio.sleep(0)
        next_one = asyncio.ensure_future(queue.take(Ticket("c"), later(60)))
        assert await late is False
        queue.give(first, 0.1)
        assert await asyncio.wait_for(next_one, 60)

    asyncio.run(scene())


@pytest.mark.parametrize("pixel_bytes", [None, 5])
@settings(max_examples=100, deadline=None)
@given(
    visits=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from([0.0, 1.0]),
            st.integers(1, 7),
            st.sampled_from(["stay", "cancel", "late", "displace"]),
            st.integers(0, 3),
        ),
        max_size=12,
    )
)
def test_no_place_is_lost_under_any_cancellation(
    pixel_bytes: int | None, visits: list[tuple[str, float, int, str, int]]
) -> None:
    async def visit(queue: FairQueue, ticket: Ticket, kind: str) -> None:
        if kind == "displace":
            queue.displace(ticket)
        if await queue.take(ticket, later(0.001 if kind == "late" else 60)):
            try:
                await asyncio.sleep(0)
            finally:
                queue.give(ticket, 0.1)

    async def scene() -> None:
        queue = FairQueue(3, pixel_bytes)
        tasks = []
        for caller, seconds, size, kind, pause in visits:
            tasks.append(asyncio.ensure_future(visit(queue, Ticket(caller, seconds, size), kind)))
            for _ in range(pause):
                await asyncio.sleep(0)
            if kind == "cancel":
                tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (queue.free, queue.waiting, queue.pixel_bytes_used) == (3, 0, 0)
        assert all(task.cancelled() or task.exception() is None for task in tasks)

    asyncio.run(scene())
