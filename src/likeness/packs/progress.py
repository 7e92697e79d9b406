"""The progress of an installation: the interface of its displays, and the log as one."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

_log = logging.getLogger("likeness.packs")


class Progress(Protocol):
    """Receives the progress of an installation: messages, and downloaded bytes."""

    def say(self, text: str) -> None:
        """Reports that a step begins or ends, in one line without a full stop."""
        ...

    def download(self, file: str, total_bytes: int) -> AbstractContextManager["ByteCount"]:
        """Reports that a download of `total_bytes` begins; the context's value receives its progress."""
        ...


class ByteCount(Protocol):
    """Receives the progress of one download."""

    def reached(self, done_bytes: int) -> None:
        """Reports the bytes downloaded so far; the number falls if a download restarts."""
        ...


class LoggedProgress:
    """Logs each step to `likeness.packs`, without bytes.

    The first message is a warning, so that programs show what takes time on the first use.
    """

    def __init__(self) -> None:
        self._level = logging.WARNING

    def say(self, text: str) -> None:
        _log.log(self._level, "%s", text)
        self._level = logging.INFO

    def download(self, file: str, total_bytes: int) -> AbstractContextManager[ByteCount]:
        _log.info("fetching %s (%.1f MB)", file, total_bytes / 1e6)
        return nullcontext(self)

    def reached(self, done_bytes: int) -> None:
        """Bytes are not logged."""


_displays: list[Callable[[], AbstractContextManager[Progress]]] = [lambda: nullcontext(LoggedProgress())]


def automatic_installation() -> AbstractContextManager[Progress]:
    """The Progress of an automatic installation, as before a first comparison: the log by default."""
    return _displays[-1]()


def show_automatic_with(begin: Callable[[], AbstractContextManager[Progress]]) -> None:
    """Sets the display of automatic installations; `begin` is called for each."""
    _displays.append(begin)
