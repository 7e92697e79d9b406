"""Admission: a bounded queue before a fixed number of threads."""

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from likeness.errors import Throttled
from likeness.server.admission import Admission, Unavailable, places
from likeness.server.fair_queue import Ticket


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_a_cancelled_request_keeps_its_place_until_its_thread_ends() -> None:
    async def scene() -> None:
        begun, release = threading.Event(), threading.Event()

        def work_until_released() -> None:
            begun.set()
            release.wait(60)

        with ThreadPoolExecutor(1) as pool:
            admission = Admission(1, 0, pool)
            await admission.enter(Ticket(), later(60))
            work = asyncio.ensure_future(admission.run(Ticket(), work_until_released, later(60)))
            while not begun.is_set():
                await asyncio.sleep(0.01)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert admission.running == 1
            with pytest.raises(Throttled, match="queue is full"):
                await admission.enter(Ticket(), later(60))
            release.set()
            async with asyncio.timeout(60):
                while admission.running:
                    await asyncio.sleep(0.01)

    asyncio.run(scene())


def test_a_request_that_no_thread_begins_before_its_deadline_is_refused_and_not_worked_on() -> None:
    async def scene() -> None:
        release, worked = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            admission = Admission(1, 1, pool)
            await admission.enter(Ticket(), later(60))
            running = asyncio.ensure_future(admission.run(Ticket(), lambda: release.wait(60), later(60)))
            await asyncio.sleep(0)
            second = Ticket()
            await admission.enter(second, later(60))
            assert (admission.running, admission.waiting) == (1, 1)
            with pytest.raises(Throttled, match="queue is full"):
                await admission.enter(Ticket(), later(60))
            with pytest.raises(Throttled, match="no turn before the deadline"):
                await admission.run(second, worked.set, later(0.01))
            release.set()
            assert await running
            assert second.begun is None
            assert not worked.is_set()
            assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(scene())


def test_a_request_whose_client_leaves_before_a_thread_begins_it_is_not_worked_on() -> None:
    async def scene() -> None:
        release, worked = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            admission = Admission(1, 1, pool)
            await admission.enter(Ticket(), later(60))
            running = asyncio.ensure_future(admission.run(Ticket(), lambda: release.wait(60), later(60)))
            await asyncio.sleep(0)
            await admission.enter(Ticket(), later(60))
            leaving = asyncio.ensure_future(admission.run(Ticket(), worked.set, later(60)))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            release.set()
            assert await running
            await admission.enter(Ticket(), later(60))
            await admission.run(Ticket(), int, later(60))
            assert not worked.is_set()

    asyncio.run(scene())


def test_what_waits_in_other_workers_leaves_a_worker_its_share_of_the_queue() -> None:
    async def scene() -> None:
        release = threading.Event()
        counts: list[int] = []

        def count(here: int) -> int:
            counts.append(here)
            return here + 4

        with ThreadPoolExecutor(1) as pool:
            admission = Admission(1, 4, pool, own_queue=2, count_waiting=count)

            async def compare() -> None:
                ticket = Ticket()
                await admission.enter(ticket, later(60))
                await admission.run(ticket, lambda: release.wait(60), later(60))

            working = [asyncio.ensure_future(compare()) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert (admission.running, admission.waiting, admission.waiting_everywhere) == (1, 2, 6)
            with pytest.raises(Throttled, match="the queue is full: 6 requests wait"):
                await admission.enter(Ticket(), later(60))
            release.set()
            await asyncio.gather(*working)
            async with asyncio.timeout(60):
                while admission.running:
                    await asyncio.sleep(0.01)
            assert counts[-1] == 0  # the other workers read it

    asyncio.run(scene())


def test_requests_that_wait_for_memory_beside_free_threads_fill_the_queue() -> None:
    async def scene() -> None:
        with ThreadPoolExecutor(4) as pool:
            admission = Admission(4, 1, pool, queue=places(4, 100))
            await admission.enter(Ticket("a", 0, 60), later(60))
            waits = asyncio.ensure_future(admission.enter(Ticket("a", 0, 60), later(60)))
            await asyncio.sleep(0)
            with pytest.raises(Throttled, match="the queue is full: 1 requests wait"):
                await asyncio.wait_for(admission.enter(Ticket("a", 0, 60), later(60)), 1)
            waits.cancel()

    asyncio.run(scene())


def test_an_answer_is_released_when_its_caller_drops_it() -> None:
    class Answer:
        def __init__(self) -> None:
            time.sleep(0.05)  # else it is there before anybody waits for it

    async def scene() -> None:
        with ThreadPoolExecutor(1) as pool:
            admission = Admission(1, 10, pool)
            await admission.enter(Ticket(), later(60))
            answer = await admission.run(Ticket(), Answer, later(60))
            alive = weakref.ref(answer)
            # The thread lets go of its work when it gets the next.
            await admission.enter(Ticket(), later(60))
            await admission.run(Ticket(), int, later(60))
            del answer
            assert alive() is None

    gc.disable()
    try:
        asyncio.run(scene())
    finally:
        gc.enable()


def test_an_error_of_the_work_is_raised_and_the_place_is_free() -> None:
    async def scene() -> None:
        with ThreadPoolExecutor(1) as pool:
            admission = Admission(1, 0, pool)
            await admission.enter(Ticket(), later(60))
            with pytest.raises(ZeroDivisionError):
                await admission.run(Ticket(), lambda: 1 // 0, later(60))
            await asyncio.sleep(0)
            assert admission.running == 0

    asyncio.run(scene())


def test_a_server_that_can_take_none_is_a_throttling_with_status_500() -> None:
    assert (Unavailable.code, Unavailable.http_status, Unavailable.service_message) == (
        "ThrottlingException",
        500,
        "Service Unavailable",
    )
