"""Records the seconds of each stage of an analysis, around the stages rather than through their arguments."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_RECORD: ContextVar[list[tuple[str, float]] | None] = ContextVar("record", default=None)
#: The seconds of the stages nested in the current one, which its own time excludes.
_INSIDE: ContextVar[list[float] | None] = ContextVar("inside", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Records the seconds of a block or a decorated function under `name`, without those of nested stages."""
    around, inside = _INSIDE.get(), [0.0]
    token, started = _INSIDE.set(inside), time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - started
        _INSIDE.reset(token)
        if around is not None:
            around[0] += took
        record = _RECORD.get()
        if record is not None:
            record.append((name, took - inside[0]))


@contextmanager
def recording() -> Iterator[dict[str, float]]:
    """Records the stages of a block in this thread; the dictionary holds seconds by name after the block."""
    record: list[tuple[str, float]] = []
    seconds: dict[str, float] = {}
    token = _RECORD.set(record)
    try:
        yield seconds
    finally:
        _RECORD.reset(token)
        for name, took in record:
            seconds[name] = seconds.get(name, 0.0) + took
