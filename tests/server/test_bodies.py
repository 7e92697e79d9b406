"""The memory of bodies: counted as octets arrive, shared between callers, without deadlock."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from likeness.errors import Throttled
from likeness.server import bodies
from likeness.server.bodies import SMALL_BYTES, BodyMemory, BodyShare, LoopClock


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_memory_is_counted_and_released() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as share:
            await memory.grow(share, 60, later(60))
            await memory.grow(share, 40, later(60))
            assert memory.used == 100
            with memory.share("b") as other, pytest.raises(Throttled):
                await memory.grow(other, 1, later(0.01))
        assert memory.used == 0

    run(scene())


def test_the_caller_that_holds_least_is_served_first() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        order: list[str] = []

        async def wants(share: BodyShare) -> None:
            await memory.grow(share, 10, later(60))
            order.append(str(share.caller))

        with memory.share("much") as large, memory.share("much") as another, memory.share("little") as small:
            with memory.share("little") as finished:
                await memory.grow(finished, 40, later(60))
                await memory.grow(large, 60, later(60))
                waiting = [asyncio.ensure_future(wants(share)) for share in (another, small)]
                await asyncio.sleep(0.01)
                assert order == []
            await asyncio.gather(*waiting)
        assert order == ["little", "much"]
        assert memory.used == 0

    run(scene())


@pytest.mark.parametrize("callers", ["aaaaaaaa", "abbbbbbb", "abcdefgh"])
def test_bodies_do_not_deadlock(callers: str) -> None:
    """Those that came last, of the caller that holds most, are refused, until the others fit: four do."""

    async def scene() -> None:
        memory = BodyMemory(100)
        outcomes: dict[int, bool] = {}

        async def arrive(number: int) -> None:
            with memory.share(callers[number]) as share:
                try:
                    for _ in range(24):
                        await memory.grow(share, 1, later(60))
                        await asyncio.sleep(0)
                    outcomes[number] = True
                except Throttled:
                    outcomes[number] = False

        await asyncio.wait_for(asyncio.gather(*(arrive(number) for number in range(8))), 60)
        assert outcomes[0]
        assert 4 <= sum(outcomes.values()) < 8
        assert memory.used == 0

    run(scene())


def test_a_small_body_waits_for_no_large_one() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as whole, memory.share("a") as waits, memory.share("a", 1000) as small:
            await memory.grow(whole, 100, later(60))
            waiting = asyncio.ensure_future(memory.grow(waits, 10, later(60)))
            await asyncio.sleep(0.01)
            await asyncio.wait_for(memory.grow(small, 20, later(60)), 60)
            assert memory.used == 120
            with pytest.raises(Throttled):
                await memory.grow(small, 10, later(0.01))
            waiting.cancel()

    run(scene())


def test_a_wait_ends_at_the_deadline_and_when_it_is_cancelled() -> None:
    async def scene() -> None:
        memory = BodyMemory(10)
        with memory.share("a") as full, memory.share("b") as late, memory.share("c") as gone:
            await memory.grow(full, 10, later(60))
            with pytest.raises(Throttled):
                await memory.grow(late, 5, later(0.05))
            waiting = asyncio.ensure_future(memory.grow(gone, 5, later(60)))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert memory.used == 0
        with memory.share("d") as share:
            await memory.grow(share, 10, later(60))

    run(scene())


def test_a_fast_start_does_not_excuse_a_stalled_body() -> None:
    lag = bodies._Lag(1000.0)
    lag.note(0.1, 1_000_000)
    assert lag.seconds == 0
    for _ in range(10):
        lag.note(0.4, 1)
    assert 3.9 < lag.seconds < 4


def test_a_body_whose_time_runs_out_when_another_makes_it_yield_is_refused() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as share:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0) as share.timeout:
                    await asyncio.sleep(60)
            share.yield_now(later(0))
            assert share.must_yield

    run(scene())


@pytest.mark.parametrize("held_up", [False, True])
def test_a_sender_is_not_slow_because_the_event_loop_is_held_up(held_up: bool) -> None:
    """Another body waits for memory meanwhile: it would take that of a slow one."""

    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as share, memory.share("b") as other:
            await memory.grow(share, 100, later(60))
            receiving = asyncio.ensure_future(bodies._receive(never, memory.clock, share, bodies._Lag(1.0), later(60)))
            waiting = asyncio.ensure_future(memory.grow(other, 10, later(60)))
            await asyncio.sleep(0.01)
            if held_up:
                time.sleep(0.6)
                memory.clock.tick()
                await asyncio.sleep(0.05)  # the one that waits looks around
            while not held_up and not share.must_yield:
                memory.clock.tick()
                await asyncio.sleep(0.05)
            assert share.must_yield is not held_up
            receiving.cancel()
            waiting.cancel()

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    run(asyncio.wait_for(scene(), 60))


def test_a_body_is_small_by_its_announced_length_alone() -> None:
    for announced, small in ((SMALL_BYTES, True), (SMALL_BYTES + 1, False), (None, False)):
        with BodyMemory(100).share("a", announced) as share:
            assert share.is_small is small


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait look around once, and then only when they are told to."""
    monkeypatch.setattr(bodies, "_POLL_SECONDS", 60.0)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.usefixtures("no_polls")
def test_one_that_waits_is_overtaken_by_none_and_when_it_leaves_the_next_is_served() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as holds, memory.share("b") as first, memory.share("c") as second:
            await memory.grow(holds, 60, later(60))
            waiting = asyncio.ensure_future(memory.grow(first, 50, later(60)))
            await asyncio.sleep(0)
            behind = asyncio.ensure_future(memory.grow(second, 30, later(60)))
            await asyncio.sleep(0.01)
            assert not behind.done()
            await cancel(waiting)
            await asyncio.wait_for(behind, 10)
            assert (memory.used, first.octets, second.octets) == (90, 0, 30)

    run(scene())


@pytest.mark.parametrize(
    ("held", "yielding"),
    [
        ([("a", 60), ("a", 40)], 1),
        ([("little", 40), ("much", 30), ("much", 30)], 2),
        ([("little", 40), ("much", 50), ("much", 10)], 1),
    ],
    ids=["the last", "of the caller with most", "one that helps a caller with less"],
)
@pytest.mark.usefixtures("no_polls")
def test_where_all_wait_for_memory_one_yields(held: Sequence[tuple[str, int]], yielding: int) -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with ExitStack() as stack:
            shares = [stack.enter_context(memory.share(caller)) for caller, _ in held]
            for share, (_, octets) in zip(shares, held, strict=True):
                await memory.grow(share, octets, later(60))
            waiting = [asyncio.ensure_future(memory.grow(share, 20, later(60))) for share in shares]
            await asyncio.sleep(0.01)
            assert [share.must_yield for share in shares] == [share is shares[yielding] for share in shares]
            await cancel(*waiting)

    run(scene())


@pytest.mark.parametrize(
    ("octets", "slow", "yielding"),
    [
        ((60, 40), (True, True), 0),
        ((40, 60), (True, True), 1),
        ((60, 40), (False, True), 1),
        ((0, 100), (True, False), None),
    ],
)
@pytest.mark.usefixtures("no_polls")
def test_of_the_slow_bodies_the_one_with_most_memory_yields(
    octets: tuple[int, int], slow: tuple[bool, bool], yielding: int | None
) -> None:
    """One without any would free nothing."""

    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as one, memory.share("b") as two, memory.share("c") as other:
            shares = one, two
            for share, number, is_slow in zip(shares, octets, slow, strict=True):
                await memory.grow(share, number, later(60))
                share.asked_at = memory.clock() - (10 if is_slow else 0)
            waiting = asyncio.ensure_future(memory.grow(other, 10, later(60)))
            await asyncio.sleep(0.01)
            assert [share.must_yield for share in shares] == [yielding == number for number in range(2)]
            await cancel(waiting)

    run(scene())


@pytest.mark.usefixtures("no_polls")
def test_no_second_body_yields_before_the_first_has_released_its_memory() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as first, memory.share("b") as second, memory.share("c") as other:
            await memory.grow(first, 60, later(60))
            await memory.grow(second, 40, later(60))
            first.yield_now(later(0))
            second.asked_at = memory.clock() - 10
            waiting = asyncio.ensure_future(memory.grow(other, 10, later(60)))
            await asyncio.sleep(0.01)
            assert not second.must_yield
            await cancel(waiting)

    run(scene())


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.usefixtures("no_polls")
def test_a_caller_with_much_waits_while_the_body_of_one_with_little_arrives_unless_it_is_slow(slow: bool) -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("much") as much, memory.share("little") as little:
            with memory.share("other") as finished:
                for share, octets in ((much, 60), (little, 30), (finished, 10)):
                    await memory.grow(share, octets, later(60))
                waiting = asyncio.ensure_future(memory.grow(much, 10, later(60)))
                await asyncio.sleep(0)
                little.asked_at = memory.clock() - (10 if slow else 0)
            await asyncio.sleep(0.01)
            assert waiting.done() is slow
            await cancel(waiting)

    run(scene())


@pytest.mark.usefixtures("no_polls")
def test_what_is_released_for_a_caller_with_little_is_not_taken_before_it_asks_for_more() -> None:
    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("much") as much, memory.share("little") as little:
            with memory.share("other") as finished:
                for share, octets in ((much, 60), (little, 10), (finished, 30)):
                    await memory.grow(share, octets, later(60))
                waiting = [asyncio.ensure_future(memory.grow(share, 10, later(60))) for share in (much, little)]
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            assert [each.done() for each in waiting] == [False, True]
            await cancel(*waiting)

    run(scene())


class Clock(LoopClock):
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_sender_of_single_octets_falls_behind_both_rates() -> None:
    """Though no wait is long: the least rate of all bodies, and the one that holds while others wait for memory."""

    async def scene() -> None:
        clock, lag = Clock(), bodies._Lag(1000.0)

        async def octet() -> dict[str, Any]:
            clock.now += 0.2
            return {"body": b" "}

        with BodyMemory(100).share("a") as share:
            for _ in range(5):
                await bodies._receive(octet, clock, share, lag, later(60))
            assert min(lag.seconds, share.lag.seconds) > 0.9

    run(scene())


def test_a_body_that_must_yield_does_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_GRACE_SECONDS", 60.0)

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def scene() -> None:
        memory = BodyMemory(100)
        with memory.share("a") as share:
            receiving = asyncio.ensure_future(bodies._receive(never, memory.clock, share, bodies._Lag(1.0), later(60)))
            await asyncio.sleep(0)
            share.yield_now(later(0))
            with pytest.raises(Throttled):
                await asyncio.wait_for(receiving, 10)

    run(scene())
