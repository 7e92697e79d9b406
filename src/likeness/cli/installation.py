"""The progress display of an installation, on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from likeness.cli.streams import say
from likeness.packs.progress import ByteCount, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_LINE_EVERY_S = 10.0


@contextmanager
def progress_for_people() -> Iterator[Progress]:
    """The `progress` argument for `packs.install`, `packs.load` and `packs.samples` within the context."""
    if not sys.stderr.isatty():
        yield _PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(), TimeRemainingColumn()]
    if console.width >= 80:
        columns.insert(3, TransferSpeedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        yield _BarProgress(bars)


class _PlainProgress:
    """A line for each step, and one every ten seconds of a long download."""

    def say(self, text: str) -> None:
        say(f"likeness: {text}")

    def download(self, file: str, total_bytes: int) -> AbstractContextManager[ByteCount]:
        self.say(f"fetching {file} ({total_bytes / 1e6:.1f} MB)")
        return self._counted(file, total_bytes)

    @contextmanager
    def _counted(self, file: str, total_bytes: int) -> Iterator[ByteCount]:
        yield _LineCount(self, file, total_bytes)


class _LineCount:
    def __init__(self, progress: _PlainProgress, file: str, total_bytes: int) -> None:
        self._progress = progress
        self._file = file
        self._total = total_bytes
        self._next = time.monotonic() + _LINE_EVERY_S

    def reached(self, done_bytes: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            self._progress.say(f"{self._file}: {done_bytes / 1e6:.1f} of {self._total / 1e6:.1f} MB")


class _BarProgress:
    """One bar for each download; steps are lines above it."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars

    def say(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, markup=False)

    def download(self, file: str, total_bytes: int) -> AbstractContextManager[ByteCount]:
        return self._counted(file, total_bytes)

    @contextmanager
    def _counted(self, file: str, total_bytes: int) -> Iterator[ByteCount]:
        # The name and version of a wheel suffice; platform tags would leave no room for the bar.
        task = self._bars.add_task("-".join(file.split("-")[:2]).removesuffix(".tar.gz"), total=total_bytes)
        try:
            yield _BarCount(self._bars, task)
        finally:
            self._bars.remove_task(task)


class _BarCount:
    def __init__(self, bars: "Bars", task: "TaskID") -> None:
        self._bars = bars
        self._task = task

    def reached(self, done_bytes: int) -> None:
        self._bars.update(self._task, completed=done_bytes)
