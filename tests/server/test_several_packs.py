"""Several packs in one server: chosen by keys' policies, tried in the shadow of another, within a memory limit."""

import asyncio
import logging
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from likeness.aws.policy import Context, Policy, decide
from likeness.comparer import ComparerSettings
from likeness.errors import NoFaceFound, SettingsError
from likeness.server import several_packs
from likeness.server.access_log import access_record
from likeness.server.fair_queue import Ticket
from likeness.server.loader import load_comparer
from likeness.server.operation import Operation
from likeness.server.request_context import RequestContext
from likeness.server.settings import Settings
from likeness.server.several_packs import SeveralPacks, check_memory, comparer_of

CHOSEN: dict[str, Any] = {"similarity_threshold": 80.0, "quality_filter": "NONE"}


class Scripted:
    """A comparer that finds a match or not, or raises."""

    pack_identity = "scripted"

    def __init__(self, answer: bool | Exception = True) -> None:
        self.answer = answer
        self.compared = 0
        self.closed = self.warm = False

    def compare(self, source: bytes, target: bytes, **_: Any) -> Any:
        self.compared += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(matches=("match",) * self.answer)

    def warm_up(self) -> None:
        self.warm = True

    def close(self) -> None:
        self.closed = True


def of_this_module(caplog: pytest.LogCaptureFixture, level: str) -> list[logging.LogRecord]:
    """The records of the shadow alone: threads that other tests have left may log too."""
    return [record for record in caplog.records if (record.name, record.levelname) == (several_packs.__name__, level)]


def test_the_pack_of_a_name_answers_and_others_do_not() -> None:
    main, new = Scripted(), Scripted()
    packs = SeveralPacks(main, {"new": new}, None)
    comparer_of(packs, "new").compare(b"", b"", **CHOSEN)
    assert (main.compared, new.compared) == (0, 1)
    comparer_of(packs, "standard").compare(b"", b"", **CHOSEN)
    assert (main.compared, new.compared) == (1, 1)
    assert packs.pack_identity == "scripted"
    alone = Scripted()
    assert comparer_of(alone, "standard") is alone
    packs.warm_up()
    packs.close()
    assert main.closed and new.closed and main.warm and new.warm  # noqa: PT018


def test_a_shadow_changes_no_answer_and_only_counts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "likeness.server.several_packs")
    main, new = Scripted(True), Scripted(False)
    packs = SeveralPacks(main, {"new": new}, "new")
    assert packs.compare(b"", b"", **CHOSEN).matches == ("match",)
    for answer in (True, NoFaceFound("photo of Ada"), RuntimeError("broken")):
        new.answer = answer
        assert packs.compare(b"", b"", **CHOSEN).matches == ("match",)
    new.answer = True
    for _ in range(several_packs.LOGGED_EVERY - 4):
        packs.compare(b"", b"", **CHOSEN)
    assert [record.message for record in of_this_module(caplog, "INFO")] == [
        "shadow new: 1 of 1 decisions differ, 0 failed",
        "shadow new: 1 of 100 decisions differ, 2 failed",
    ]
    main.answer = NoFaceFound("")
    with pytest.raises(NoFaceFound):
        packs.compare(b"", b"", **CHOSEN)
    assert new.compared == several_packs.LOGGED_EVERY


def test_a_bug_of_the_shadow_is_logged_once_per_many_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    packs = SeveralPacks(Scripted(), {"new": Scripted(RuntimeError("broken"))}, "new")
    for _ in range(several_packs.LOGGED_EVERY + 1):
        packs.compare(b"", b"", **CHOSEN)
    bugs = of_this_module(caplog, "ERROR")
    assert [record.message for record in bugs] == [
        "the shadow pack new failed (1 so far)",
        f"the shadow pack new failed ({several_packs.LOGGED_EVERY + 1} so far)",
    ]
    assert all(record.exc_info for record in bugs)


def test_a_line_of_the_access_log_names_the_pack_that_compared() -> None:
    context = RequestContext("POST", "/", "", (), "127.0.0.1", secure=False)
    assert "pack" not in access_record(context, "standard")  # nothing was compared
    context.seconds["compare"] = 0.1
    assert access_record(context, "standard")["pack"] == "standard"
    context.pack = "new"
    assert access_record(context, "standard")["pack"] == "new"
    assert "pack" not in access_record(context)


def test_packs_beyond_the_memory_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter((100, 900))
    monkeypatch.setattr(several_packs, "resident_bytes", lambda: next(sizes))
    with pytest.raises(
        SettingsError, match=r"with the pack new a worker takes 900 bytes, .* packs_memory_bytes = 500;"
    ):
        check_memory({"standard": Scripted(), "new": Scripted()}, 500)


def test_the_memory_of_this_process_is_known() -> None:
    assert several_packs.resident_bytes() > 10_000_000


def policy(operator: str, *packs: str) -> Policy:
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {operator: {"likeness:Pack": list(packs)}},
    }
    return Policy.load({"Statement": statement})


@pytest.mark.parametrize(
    ("operator", "pack", "allowed"),
    [
        ("StringEquals", "new", True),
        ("StringEquals", "standard", False),
        ("StringNotEquals", "new", False),
        ("StringNotEquals", "standard", True),
    ],
)
def test_a_policy_names_the_pack(operator: str, pack: str, allowed: bool) -> None:
    context = Context(None, datetime.now(UTC), secure_transport=False, pack=pack)
    assert decide([policy(operator, "new")], "rekognition:CompareFaces", "*", context).allowed is allowed


def test_a_condition_on_another_key_is_refused() -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:userid": "x"}}}
    with pytest.raises(SettingsError, match="likeness:Pack"):
        Policy.load({"Statement": statement})


@pytest.mark.engine
def test_a_server_holds_two_packs_and_loads_no_second_for_the_default(
    own_pack: Path, portraits: dict[str, Path]
) -> None:
    assert not isinstance(load_comparer(Settings(), 1), SeveralPacks)
    # The limit is for a server's process; this one holds what all tests before have left.
    settings = Settings(packs=(str(own_pack),), packs_memory_bytes=1 << 40, uncalibrated=True)
    engine = load_comparer(settings, 1)
    photos = [portraits[name].read_bytes() for name in ("obama.jpg", "obama2.jpg")]
    try:
        answers = [comparer_of(engine, pack).compare(*photos, **CHOSEN) for pack in ("standard", str(own_pack))]
    finally:
        engine.close()
    assert [answer.calibrated for answer in answers] == [True, False]
    assert ComparerSettings().uncalibrated is False


@pytest.mark.parametrize(
    ("shadow", "pack", "times"), [(None, "standard", 1), ("new", "standard", 2), ("new", "", 2), ("new", "new", 1)]
)
def test_what_a_shadow_takes_is_in_the_estimate(shadow: str | None, pack: str, times: int) -> None:
    """Admission charges the caller for both comparisons, and takes two slow decodings for a costly request."""
    tickets: list[Ticket] = []
    costly_tickets: list[Ticket] = []

    class Admitting:
        def __init__(self, tickets: list[Ticket]) -> None:
            self._tickets = tickets

        async def enter(self, ticket: Ticket, deadline: float) -> None:
            self._tickets.append(ticket)

        async def run(self, ticket: Ticket, work: Any, deadline: float) -> Any:
            return work()

    class Loaded:
        async def ready(self, deadline: float) -> Scripted:
            return Scripted()

    parts: dict[str, Any] = dict.fromkeys(field.name for field in fields(Operation))
    parts |= {"settings": Settings(packs=("new",), shadow=shadow), "loader": Loaded(), "admission": Admitting(tickets)}
    parts["costly_admission"] = Admitting(costly_tickets)
    context = RequestContext("POST", "/", "", (), "127.0.0.1", secure=False, pack=pack, decoding=(0.3, 500))
    asyncio.run(Operation(**parts)._run(context, lambda engine: engine.compare(b"", b""), 0.0))
    [ticket] = tickets + costly_tickets
    assert (ticket.decoding_seconds, ticket.pixel_bytes) == (0.3 * times, 500)
    assert bool(costly_tickets) == (times == 2)
