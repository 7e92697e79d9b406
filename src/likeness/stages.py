"""How long each stage of an analysis takes, recorded around the stages and not passed through them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_RECORD: ContextVar[dict[str, float] | None] = ContextVar("record", default=None)
#: The seconds of the stages within the current one, which are not its own.
_INSIDE: ContextVar[list[float] | None] = ContextVar("inside", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Records the seconds of a block, or of a decorated function, less those of the stages within it."""
    around, inside = _INSIDE.get(), [0.0]
    token, started = _INSIDE.set(inside), time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - started
        _INSIDE.reset(token)
        if around is not None:
            around[0] += took
        if (record := _RECORD.get()) is not None:
            record[name] = record.get(name, 0.0) + took - inside[0]


@contextmanager
def recording() -> Iterator[dict[str, float]]:
    """Records the stages that this thread runs in a block: seconds by name."""
    seconds: dict[str, float] = {}
    token = _RECORD.set(seconds)
    try:
        yield seconds
    finally:
        _RECORD.reset(token)
