"""Rates: token buckets by key, shared by processes."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.errors import RateExceeded
from likeness.server.rates import Rates


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def allowed(rates: Rates, key: str, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            rates.take(key)
        except RateExceeded:
            continue
        count += 1
    return count


def test_a_bucket_fills_at_its_rate_up_to_its_burst() -> None:
    clock = Clock()
    with Rates(2.0, burst=4, clock=clock) as rates:
        assert allowed(rates, "a", 10) == 4
        clock.now += 1
        assert allowed(rates, "a", 10) == 2
        clock.now += 100
        assert allowed(rates, "a", 10) == 4
        assert allowed(rates, "b", 10) == 4


def test_rates_of_single_keys() -> None:
    with Rates(1.0, rates={"fast": 50.0, "free": 0.0}, clock=Clock()) as rates:
        assert [allowed(rates, key, 500) for key in ("fast", "free", "other")] == [100, 500, 2]


def test_without_a_rate_nothing_is_refused() -> None:
    with Rates(0.0) as rates:
        assert allowed(rates, "a", 1000) == 1000


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 50), st.integers(1, 20), st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    passed = 0
    with Rates(rate, burst=burst, clock=clock) as rates:
        for pause in pauses:
            clock.now += pause
            passed += allowed(rates, "key", 1)
    assert passed <= burst + rate * sum(pauses) + 1e-6


def test_part_of_a_token_allows_nothing() -> None:
    clock = Clock()
    with Rates(1.0, burst=1, clock=clock) as rates:
        rates.take("a")
        clock.now += 0.5
        assert allowed(rates, "a", 1) == 0
        clock.now += 0.5
        assert allowed(rates, "a", 1) == 1


def test_each_key_has_a_bucket_of_its_own() -> None:
    keys = [f"key {number}" for number in range(1000)]
    with Rates(1.0, burst=1, clock=Clock()) as rates:
        assert [allowed(rates, key, 1) for key in keys] == [1] * len(keys)
        assert [allowed(rates, key, 1) for key in keys] == [0] * len(keys)


def test_more_keys_than_buckets_give_a_busy_key_no_new_one() -> None:
    clock, busy = Clock(), 0
    with Rates(1.0, burst=5, clock=clock) as rates:
        for number in range(6_000):
            clock.now += 0.001
            rates.take(f"key {number}")
            busy += allowed(rates, "busy", 1)
    assert busy <= 5 + 6


def test_processes_together_take_no_more_than_one_would() -> None:
    burst = 10_000
    with Rates(1e-9, burst=burst) as rates:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, b"%6d" % allowed(rates, "a", burst))
            os._exit(0)
        own = allowed(rates, "a", burst)
        other = int(os.read(reading, 6))
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    assert own + other == burst
