"""Memory that the processes of a server share: whole snapshots, whoever is killed when, and sums of them."""

import os
import signal
import time

from hypothesis import given
from hypothesis import strategies as st

from likeness.server.metrics import Family, added, bequeath
from likeness.server.rates import Rates
from likeness.server.sharing import Board, WorkerSlot


def test_slots_are_seen_by_other_processes() -> None:
    board = Board(3)
    child = os.fork()
    if not child:
        board.set_ready(1, True)
        board.write(1, b"from the child")
        WorkerSlot(1, 1, Rates(0.0), board).count_waiting(7)
        os._exit(0)
    os.waitpid(child, 0)
    board.set_waiting(2, 3)
    assert [board.is_ready(slot) for slot in range(3)] == [False, True, False]
    assert [board.read(slot) for slot in range(3)] == [b"", b"from the child", b""]
    assert board.waiting() == 10
    board.clear(1)
    assert (board.waiting(), board.is_ready(1), board.read(1)) == (3, False, b"")
    board.close()


def test_a_snapshot_is_whole_while_it_is_written_and_when_its_writer_is_killed() -> None:
    board = Board(1)
    texts = [bytes([65 + number]) * (1000 + 37_000 * number) for number in range(4)]
    board.write(0, texts[0])
    child = os.fork()
    if not child:
        while True:
            for text in texts:
                board.write(0, text)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert board.read(0) in (*texts, b"")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert board.read(0) in texts
    board.close()


def test_a_snapshot_that_is_too_large_leaves_the_last_one() -> None:
    board = Board(1)
    board.write(0, b"small")
    board.write(0, bytes(2**21))
    assert board.read(0) == b"small"
    board.close()


def counter(*numbers: int) -> Family:
    return Family("c", "text", "counter", [("c_total", [("code", str(code))], n) for code, n in enumerate(numbers)])


@given(st.lists(st.lists(st.integers(0, 1000), max_size=4), max_size=4))
def test_sums_are_by_series(counts: list[list[int]]) -> None:
    longest = max((len(each) for each in counts), default=0)
    expected = [sum(each[place] for each in counts if place < len(each)) for place in range(longest)]
    families = added(*([counter(*each)] for each in counts))
    assert [value for family in families for _, _, value in family.samples] == expected


def test_counts_of_a_worker_that_is_gone_stay_and_its_gauges_go() -> None:
    import msgspec

    board = Board(3)
    gauge = Family("g", "text", "gauge", [("g", [], 5.0)])
    for slot in (0, 1, 0):
        board.write(slot, msgspec.json.encode([counter(1, 2), gauge]))
        bequeath(board, slot, heir=2)
    (left,) = msgspec.json.decode(board.read(2), type=list[Family])
    assert [value for _, _, value in left.samples] == [3, 6]
    assert board.read(0) == b""
    board.close()
