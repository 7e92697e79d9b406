"""The memory of bodies: counted as octets arrive, shared between callers, without deadlock."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from likeness.errors import Throttled
from likeness.server import bodies
from likeness.server.bodies import BodyMemory, BodyShare


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
