"""Memory shared by the processes of a server: complete snapshots, whichever process is killed, and sums of them."""

import os
import signal
import time

from hypothesis import given
from hypothesis import strategies as st

from likeness.server.metrics import Family, added, keep_counts
from likeness.server.rates import Rates
from likeness.server.sharing import SharedState, WorkerSlot


def test_slots_are_seen_by_other_processes() -> None:
    shared = SharedState(3)
    child = os.fork()
    if not child:
        shared.set_ready(1, True)
        shared.write(1, b"from the child")
        WorkerSlot(1, 1, Rates(0.0), shared).count_waiting(7)
        os._exit(0)
    os.waitpid(child, 0)
    shared.set_waiting(2, 3)
    assert [shared.is_ready(slot) for slot in range(3)] == [False, True, False]
    assert [shared.read(slot) for slot in range(3)] == [b"", b"from the child", b""]
    assert shared.waiting() == 10
    shared.clear(1)
    assert (shared.waiting(), shared.is_ready(1), shared.read(1)) == (3, False, b"")
    shared.close()


def test_a_snapshot_is_whole_while_it_is_written_and_when_its_writer_is_killed() -> None:
    shared = SharedState(1)
    texts = [bytes([65 + number]) * (1000 + 37_000 * number) for number in range(4)]
    shared.write(0, texts[0])
    child = os.fork()
    if not child:
        while True:
            for text in texts:
                shared.write(0, text)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert shared.read(0) in (*texts, b"")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert shared.read(0) in texts
    shared.close()


def test_a_snapshot_that_is_too_large_leaves_the_last_one() -> None:
    shared = SharedState(1)
    shared.write(0, b"small")
    shared.write(0, bytes(2**21))
    assert shared.read(0) == b"small"
    shared.close()


def counter(*numbers: int) -> Family:
    return Family("c", "text", "counter", [("c_total", [("code", str(code))], n) for code, n in enumerate(numbers)])


@given(st.lists(st.lists(st.integers(0, 1000), max_size=4), max_size=4))
def test_sums_are_by_series(counts: list[list[int]]) -> None:
    longest = max((len(each) for each in counts), default=0)
    expected = [sum(each[place] for each in counts if place < len(each)) for place in range(longest)]
    families = added(*([counter(*each)] for each in counts))
    assert [value for family in families for _, _, value in family.samples] == expected


def test_counters_of_an_ended_worker_stay_and_its_gauges_go() -> None:
    import msgspec

    shared = SharedState(3)
    gauge = Family("g", "text", "gauge", [("g", [], 5.0)])
    for slot in (0, 1, 0):
        shared.write(slot, msgspec.json.encode([counter(1, 2), gauge]))
        keep_counts(shared, slot, ended=2)
    (left,) = msgspec.json.decode(shared.read(2), type=list[Family])
    assert [value for _, _, value in left.samples] == [3, 6]
    assert shared.read(0) == b""
    shared.close()
