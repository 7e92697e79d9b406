"""How long each stage of a comparison takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Stopwatch:
    """Adds up the seconds of work in each stage, whoever does it; each photo has its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + took
