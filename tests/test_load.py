"""`make load` finds answers that are wrong, crossed or refused where they may not be."""

import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
OTHER = b'{"FaceMatches":[]}'


@pytest.fixture(scope="module")
def clients() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY)
        yield import_module("benchmarks.load.clients")


def noted(clients: Any, status: int, body: bytes, *, may_be_refused: bool = True, is_distinct: bool = True) -> Any:
    """The tally after one answer to a request whose known answer is `OTHER`."""
    exchange = clients.Exchange("small", b"", 200, OTHER, is_distinct, may_be_refused)
    client = clients.Client(0, lambda: exchange, clients.Tally(), time.monotonic() + 60)
    client._note(exchange, clients.Answer(status, b"id", body), 0.1)
    return client.tally


def test_a_right_answer_is_counted_as_distinguishable_where_it_is(clients: Any) -> None:
    tally = noted(clients, 200, OTHER)
    assert (tally.requests, tally.refused, tally.wrong) == (1, 0, [])
    assert tally.distinguishable == {"small": 1}
    assert noted(clients, 200, OTHER, is_distinct=False).distinguishable == {}


def test_the_services_refusal_is_counted_apart(clients: Any) -> None:
    status, body = clients.REFUSAL
    assert (status, b'"__type":"ThrottlingException"' in body) == (400, True)
    tally = noted(clients, status, body)
    assert (tally.requests, tally.refused, tally.wrong, tally.distinguishable) == (1, 1, [], {})


@pytest.mark.parametrize(
    ("change", "may_be_refused"),
    [
        (lambda status, body: (200, OTHER.replace(b"[]", b"[0]")), True),
        (lambda status, body: (400, OTHER), True),
        (lambda status, body: (status, body.replace(b"Slow", b"slow")), True),
        (lambda status, body: (500, body), True),
        (lambda status, body: (status, body + body), True),
        (lambda status, body: (status, body), False),
    ],
    ids=["crossed", "status", "text", "status of a refusal", "two", "unsigned and refused"],
)
def test_any_other_answer_is_wrong(change: Any, may_be_refused: bool, clients: Any) -> None:
    tally = noted(clients, *change(*clients.REFUSAL), may_be_refused=may_be_refused)
    assert len(tally.wrong) == 1
    assert (tally.refused, tally.distinguishable) == (0, {})


def test_a_request_id_that_comes_twice_is_wrong(clients: Any) -> None:
    exchange = clients.Exchange("small", b"", 200, OTHER)
    client = clients.Client(0, lambda: exchange, clients.Tally(), time.monotonic() + 60)
    for _ in range(2):
        client._note(exchange, clients.Answer(200, b"id", OTHER), 0.1)
    assert len(client.tally.wrong) == 1


def test_answers_that_several_requests_have_are_not_distinguishable(clients: Any) -> None:
    requests = import_module("benchmarks.load.requests")
    made = [requests.Photos(b"1", 200, b"a"), requests.Photos(b"2", 200, b"b"), requests.Photos(b"3", 200, b"a")]
    assert [each.is_distinct for each in requests._distinct(made)] == [False, True, False]
    assert all(each.is_distinct for each in requests._distinct([requests._quoted(number) for number in range(9)]))


@pytest.mark.parametrize(("again", "expected"), [(False, 7), (True, 4)])
def test_counts_of_a_mix_add_up_unless_it_is_measured_again(
    again: bool, expected: int, clients: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load = import_module("benchmarks.load.__main__")
    monkeypatch.setattr(load, "RESULTS", tmp_path / "load.json")
    case = next(case for case in load.cases() if case.is_mix)
    numbers: dict[str, Any] = dict.fromkeys(("requests", "refused", "all_refused", "seconds"), 0)
    for number in (3, 4):
        row = (
            numbers
            | {"wrong": [], "unanswered": {}}
            | {"answered": {"small": number}, "distinguishable": {"small": number}}
        )
        rows = load.keep(case, row, again=again)
    assert load.distinguishable(rows) == {"small": expected}


def test_a_request_without_an_answer_and_a_wrong_one_are_misses(clients: Any) -> None:
    load = import_module("benchmarks.load.__main__")
    row = {"wrong": [], "unanswered": {}, "hostile": {}}
    assert load.misses(row) == []
    assert len(load.misses(row | {"unanswered": {"ConnectionResetError": 1}})) == 1
    assert len(load.misses(row | {"wrong": ["pair: 200 b'{}'"]})) == 1
