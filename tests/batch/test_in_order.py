"""Results come in the order of the items, few are in progress, and errors reach the caller."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.batch.in_order import map_in_order


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4))
def test_results_come_in_the_order_of_the_items(items: list[int], threads: int) -> None:
    assert list(map_in_order(lambda item: item * 2, items, threads)) == [item * 2 for item in items]


def test_items_are_taken_no_further_ahead_than_the_threads_need() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    for place, _ in enumerate(map_in_order(lambda item: item, items(), 2)):
        assert len(taken) <= place + 4


def test_all_threads_work_at_once() -> None:
    together = threading.Barrier(3, timeout=60)
    assert list(map_in_order(lambda item: (together.wait(), item)[1], range(6), 3)) == list(range(6))


def test_an_error_reaches_the_caller_in_its_place() -> None:
    def work(item: int) -> int:
        time.sleep(0.001)
        return 1 // item

    results = map_in_order(work, [1, 1, 0, 1], 2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
