"""The executor: a single comparison uses all threads, results keep their order, errors propagate; it works in forked
children and after the end of the main thread, and refuses work after `close`.
"""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness import stages
from likeness.errors import ComparerUnusable
from likeness.executor import Executor, in_turn
from likeness.stages import recording, stage
from likeness.system.processors import yield_processors


@pytest.fixture
def executor() -> Iterator[Executor]:
    executor = Executor(2)
    yield executor
    executor.close()


@given(st.lists(st.integers(), max_size=50), st.integers(1, 4))
def test_results_come_in_the_order_of_the_items(items: list[int], threads: int) -> None:
    executor = Executor(threads)
    try:
        with executor.running() as spread:
            assert spread(lambda item: item * 2, items) == [item * 2 for item in items]
    finally:
        executor.close()


def names_of_two(executor: Executor) -> set[str]:
    """The threads that two pieces of work are done in that wait for each other."""
    together = threading.Barrier(2, timeout=60)
    with executor.running() as spread:
        return set(spread(lambda _: (together.wait(), threading.current_thread().name)[1], [1, 2]))


def test_a_comparison_alone_has_another_thread(executor: Executor) -> None:
    assert len(names_of_two(executor)) == 2


def test_each_of_several_comparisons_keeps_to_its_own_thread(executor: Executor) -> None:
    with executor.running(), executor.running() as spread:
        assert spread is in_turn
    assert len(names_of_two(executor)) == 2


def test_a_comparison_that_yields_the_processors_keeps_to_its_own_thread(executor: Executor) -> None:
    def work() -> bool:
        yield_processors()
        with executor.running() as spread:
            return spread is in_turn

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result()
    assert len(names_of_two(executor)) == 2


def test_work_within_work_is_shared_by_whoever_is_free(executor: Executor) -> None:
    """The second photo is done while the first goes on to its faces: its thread then helps with those."""
    together = threading.Barrier(2, timeout=60)

    def photo(number: int) -> list[int]:
        if number:
            return []
        return spread(lambda face: together.wait() * 0 + face, [1, 2])

    with executor.running() as spread:
        assert spread(photo, [0, 1]) == [[1, 2], []]


def test_a_thread_that_the_system_refuses_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its task waits in the pool, and the thread of the other photo, once free, takes a face with it."""
    executor, caller = Executor(3), threading.current_thread()
    begun, free, taken, over = (threading.Event() for _ in range(4))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def face(number: int) -> int:
        if number == 0:
            free.set()
            assert taken.wait(60)
        elif threading.current_thread() is not caller:
            taken.set()
            assert over.wait(60)
        return number

    def photo(number: int) -> list[int]:
        if number:
            begun.set()
            assert free.wait(60)
            return []
        assert begun.wait(60)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        return spread(face, [0, 1])

    try:
        with executor.running() as spread:
            assert spread(photo, [0, 1]) == [[0, 1], []]
    finally:
        over.set()
        executor.close()


def test_a_busy_thread_is_not_waited_for(executor: Executor) -> None:
    let_go = threading.Event()
    assert executor._pool is not None
    busy = executor._pool.submit(let_go.wait, 60)
    try:
        with executor.running() as spread:
            assert spread(str, range(5)) == list("01234")
        assert not busy.done()
    finally:
        let_go.set()


@pytest.mark.parametrize("in_main", [True, False])
def test_an_error_in_either_thread_reaches_the_caller(executor: Executor, in_main: bool) -> None:
    together = threading.Barrier(2, timeout=60)

    def fail(_: int) -> None:
        together.wait()
        if (threading.current_thread() is threading.main_thread()) == in_main:
            raise ValueError("one of two")

    with pytest.raises(ValueError, match="one of two"), executor.running() as spread:
        spread(fail, [1, 2])


def test_a_closed_executor_raises_with_a_remedy(executor: Executor) -> None:
    with executor.running() as spread:
        executor.close()
        assert spread(str, [1, 2]) == ["1", "2"]  # what runs already goes on
    with pytest.raises(ComparerUnusable, match="closed; make a new one"), executor.running():
        pass


def _in_child(work: object) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    hangs = child.is_alive()
    if hangs:
        child.kill()
        child.join()
    return None if hangs else child.exitcode


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(executor: Executor) -> None:
    assert len(names_of_two(executor)) == 2  # the pool's thread runs
    assert _in_child(lambda: sys.exit(len(names_of_two(executor)) != 2)) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_during_a_comparison_gets_an_error(executor: Executor) -> None:
    def child() -> None:
        try:
            with executor.running():
                os._exit(2)
        except RuntimeError as error:
            os._exit("forked while" not in str(error))

    with executor.running():
        assert _in_child(child) == 0


def test_threads_that_outlive_the_main_thread_go_on_alone() -> None:
    program = """
import threading, time
from likeness.executor import Executor
executor = Executor(2)
def late():
    threading.main_thread().join()
    time.sleep(0.2)
    with executor.running() as spread:
        print(spread(str, [1, 2, 3]), flush=True)
threading.Thread(target=late).start()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "['1', '2', '3']"


def test_stages_are_recorded_without_nested_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 3.0, 6.0])
    monkeypatch.setattr(stages, "time", SimpleNamespace(perf_counter=lambda: next(moments)))
    with recording() as seconds, stage("outer"), stage("inner"):
        pass
    assert seconds == {"outer": 4.0, "inner": 2.0}


def test_nothing_is_recorded_outside_recording() -> None:
    with recording() as seconds:
        pass
    with stage("later"):
        pass
    assert seconds == {}
