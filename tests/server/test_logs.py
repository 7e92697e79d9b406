"""Messages: repeated ones once a minute, and no blocking by their reader."""

import json
import logging
import os
import sys
from io import FileIO, TextIOWrapper

import pytest

from likeness.server.logs import JsonHandler, OncePerMinute


def record(message: str, level: int = logging.WARNING, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("likeness", level, "file", 1, message, (), info)


def test_a_repeated_message_passes_once_a_minute_with_its_count() -> None:
    seconds = iter([*range(60), 61, 61])
    once = OncePerMinute(clock=lambda: next(seconds))
    passed = [once.filter(record("no room")) for _ in range(60)]
    assert passed == [True] + [False] * 59
    last = record("no room")
    last.created -= 3600  # the clock was turned meanwhile
    assert once.filter(last)
    assert last.repeated == 59  # type: ignore[attr-defined]
    assert once.filter(record("another"))
    assert all(once.filter(record("started", logging.INFO)) for _ in range(3))


def test_a_repeated_bug_is_recognised_by_its_location() -> None:
    once = OncePerMinute()

    def bug() -> Exception:
        try:
            raise ZeroDivisionError("at 1")
        except ZeroDivisionError as error:
            return error

    assert once.filter(record("request 1 failed", error=bug()))
    assert not once.filter(record("request 2 failed", error=bug()))


def test_the_memory_of_messages_is_bounded() -> None:
    once = OncePerMinute()
    for number in range(1000):
        once.filter(record(str(number)))
    assert len(once._seen) <= 256


def test_a_full_pipe_drops_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    handler = JsonHandler()
    with TextIOWrapper(FileIO(writer, "w")) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        for number in range(1000):
            handler.emit(record(f"{number} " + "all work " * 50))
        assert handler.dropped > 0
        held = os.read(reader, 1_000_000)
    os.close(reader)
    assert len(held.splitlines()) == 1000 - handler.dropped
    assert json.loads(held.splitlines()[0])["kind"] == "event"
