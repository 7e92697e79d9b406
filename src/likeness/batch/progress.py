"""The progress of a batch on standard error: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from likeness.counted import counted

_SECONDS_BETWEEN_LINES = 10.0


@dataclass
class Count:
    """The number done of `total`; `before` of them in an earlier run."""

    total: int = 0
    done: int = 0
    before: int = 0


class Progress(Protocol):
    """Receives the progress of a run."""

    def begin(self, photos: Count, pairs: Count) -> None:
        """Reports that the run starts or resumes."""
        ...

    def photo(self, *, failed: bool) -> None:
        """Reports an analysed photo."""
        ...

    def pairs(self, count: int) -> None:
        """Reports written pairs."""
        ...


class PlainLines:
    """Calls `say` with occasional lines: counts, rate, time left, errors."""

    def __init__(self, say: Callable[[str], None], seconds_between: float = _SECONDS_BETWEEN_LINES) -> None:
        self._write = say
        self._seconds_between = seconds_between
        self._failed = 0
        self.begin(Count(), Count())

    def begin(self, photos: Count, pairs: Count) -> None:
        self._photos, self._pairs = photos, pairs
        self._start = self._said = time.monotonic()

    def photo(self, *, failed: bool) -> None:
        self._photos.done += 1
        self._failed += failed
        self._say()

    def pairs(self, count: int) -> None:
        self._pairs.done += count
        self._say(last=self._pairs.done >= self._pairs.total)

    def _say(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._said < self._seconds_between:
            return
        self._said = now
        slowest = self._photos if self._photos.done < self._photos.total else self._pairs
        rate = (slowest.done - slowest.before) / max(now - self._start, 1e-3)
        left = f"{(slowest.total - slowest.done) / rate:,.0f} s left" if rate else "time left unknown"
        self._write(
            f"likeness: {self._photos.done:,} of {counted(self._photos.total, 'photo')}, {self._pairs.done:,} of "
            f"{counted(self._pairs.total, 'pair')}, {rate:,.1f} a second, {left}, "
            f"{counted(self._failed, 'photo')} with errors"
        )


class Bars:
    """Two rich progress bars with the same figures."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown
        self._photos: Any = None
        self._pairs: Any = None
        self._failed = 0

    def begin(self, photos: Count, pairs: Count) -> None:
        self._photos = self._shown.add_task("photos", total=photos.total, completed=photos.done, errors="0 errors")
        self._pairs = self._shown.add_task("pairs", total=pairs.total, completed=pairs.done, errors="")

    def photo(self, *, failed: bool) -> None:
        self._failed += failed
        self._shown.update(self._photos, advance=1, errors=counted(self._failed, "error"))

    def pairs(self, count: int) -> None:
        self._shown.update(self._pairs, advance=count)


@contextmanager
def on_standard_error(say: Callable[[str], None]) -> Iterator[Progress]:
    """Bars if standard error is a terminal, otherwise plain lines by `say`."""
    if not sys.stderr.isatty():
        yield PlainLines(say)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:,.1f}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[errors]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bars(shown)
