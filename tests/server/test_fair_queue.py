"""The queue: order, shares, deadlines, and no lost places under any cancellation."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
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
