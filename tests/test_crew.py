"""Work divided among threads: the same results in the same order, nobody waited for in vain, errors not lost."""

import gc
import threading
import weakref
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.crew import NOBODY, ByOne, Crew, Once, Together


@given(st.lists(st.integers(), max_size=50), st.integers(0, 3))
def test_results_come_in_the_order_of_the_items(items: list[int], helpers: int) -> None:
    crew = Crew(helpers)
    try:
        assert crew.map(lambda item: item * 2, items) == [item * 2 for item in items]
    finally:
        crew.close()


def test_a_helper_takes_part() -> None:
    crew, both_here = Crew(1), threading.Barrier(2, timeout=20)
    try:
        seen = crew.map(lambda _: (both_here.wait(), threading.current_thread().name)[1], [1, 2])
    finally:
        crew.close()
    assert len(set(seen)) == 2


def test_a_busy_helper_is_not_waited_for() -> None:
    crew, let_go = Crew(1), threading.Event()
    busy = crew.submit(let_go.wait, 20)
    try:
        assert crew.map(str, range(5)) == list("01234")
        assert not busy.done()
    finally:
        let_go.set()
        crew.close()


def test_a_helpers_error_reaches_the_caller() -> None:
    crew, both_here = Crew(1), threading.Barrier(2, timeout=20)

    def fail_beside(_: int) -> None:
        both_here.wait()
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("beside")

    try:
        with pytest.raises(ValueError, match="beside"):
            crew.map(fail_beside, [1, 2])
    finally:
        crew.close()


def test_nobody_takes_no_work_of_their_own() -> None:
    assert NOBODY.map(str, [1, 2]) == ["1", "2"]
    with pytest.raises(RuntimeError, match="without helpers"):
        NOBODY.submit(print)


def test_who_helps_does_what_was_offered_or_soon_will_be() -> None:
    crew, done = Crew(1), threading.Event()
    try:
        helping = crew.submit(crew.help)
        crew.offer(done.set)
        helping.result()
        assert done.is_set()
    finally:
        crew.close()


def test_who_helps_does_not_wait_long_for_an_offer() -> None:
    crew, taken_back = Crew(1), threading.Event()
    try:
        crew.offer(taken_back.set)
        crew.withdraw()
        crew.submit(crew.help).result(timeout=20)
        assert not taken_back.is_set()
    finally:
        crew.close()


def test_without_helpers_nothing_offered_is_kept() -> None:
    photo = type("Photo", (), {})()
    alive = weakref.ref(photo)
    NOBODY.offer(partial(id, photo))
    del photo
    assert alive() is None


def test_what_several_ask_for_is_made_once() -> None:
    crew, begun, go_on, made = Crew(1), threading.Event(), threading.Event(), []

    def work() -> str:
        begun.set()
        go_on.wait(20)
        made.append(1)
        return "picture"

    once = Once(work)
    try:
        first = crew.submit(once)
        begun.wait(20)
        threading.Timer(0.01, go_on.set).start()
        assert once() == first.result() == "picture"
    finally:
        crew.close()
    assert made == [1]


def test_who_comes_later_to_work_for_one_goes_on() -> None:
    crew, begun, go_on, done = Crew(1), threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(20)
        done.append(1)

    by_one = ByOne(work)
    assert not by_one.begun
    try:
        first = crew.submit(by_one)
        begun.wait(20)
        by_one()
        assert by_one.begun
        assert done == []
        go_on.set()
        first.result()
    finally:
        crew.close()
    by_one()
    assert done == [1]


def test_what_could_not_be_made_is_tried_again() -> None:
    results = iter([0, 5])
    once = Once(lambda: 10 // next(results))
    with pytest.raises(ZeroDivisionError):
        once()
    assert once() == 2


@given(st.lists(st.integers(), min_size=1, max_size=20), st.integers(0, 2), st.randoms())
def test_what_pieces_come_to_is_made_of_all_of_them_in_their_order(
    items: list[int], helpers: int, chance: Random
) -> None:
    crew, together = Crew(helpers), Together([partial(str, item) for item in items], tuple)
    pieces = list(together.work)
    chance.shuffle(pieces)
    try:
        crew.map(lambda piece: piece(), pieces)
    finally:
        crew.close()
    assert together.result == tuple(map(str, items))


def test_pieces_are_put_together_without_waiting_for_other_work() -> None:
    crew, made = Crew(1), threading.Event()
    together = Together([lambda: 1, lambda: 2], lambda done: (made.set(), sum(done))[1])
    try:
        seen = crew.map(lambda piece: piece(), [lambda: made.wait(20), *together.work])
    finally:
        crew.close()
    assert seen[0] is True
    assert together.result == 3


def test_before_all_pieces_are_done_there_is_no_result() -> None:
    together = Together([int, int], sum)
    together.work[0]()
    with pytest.raises(RuntimeError, match="1 pieces of work are not done"):
        _ = together.result


def test_what_pieces_gave_is_gone_with_them() -> None:
    class Photo:
        pass

    photo = Photo()
    alive = weakref.ref(photo)
    together = Together([partial(id, photo)], len)
    gc.disable()
    try:
        for piece in together.work:
            piece()
        assert together.result == 1
        del together, piece, photo
        assert alive() is None
    finally:
        gc.enable()
