"""Pools whose threads run before the first request."""

import threading

import pytest

from likeness.errors import SettingsError
from likeness.server.pools import started_pool


def threads_of(name: str) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith(name)]


def test_all_threads_run_and_are_free() -> None:
    begun = []
    with started_pool(3, "early", lambda: begun.append(threading.current_thread())) as pool:
        assert len(threads_of("early")) == len(begun) == 3
        together = threading.Barrier(3, timeout=60)
        assert sorted(pool.map(lambda _: together.wait(), range(3))) == [0, 1, 2]
    assert threads_of("early") == []


def test_a_thread_that_the_system_refuses_is_named_and_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if len(threads_of("few")) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(SettingsError, match=r"the 3 threads few cannot be started \(can't start new thread\)"):
        started_pool(3, "few")
    for thread in threads_of("few"):
        thread.join(60)
    assert threads_of("few") == []
