"""The progress of an installation: the interface of its displays, and its form in the log."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

_log = logging.getLogger("likeness.packs")


class Progress(Protocol):
    """Receives the progress of an installation: lines for people, and bytes that arrive."""

    def say(self, text: str) -> None:
        """A step has begun or ended; one line without a full stop."""
        ...

    def download(self, file: str, total_bytes: int) -> AbstractContextManager["ByteCount"]:
        """The fetch of a file of `total_bytes` begins; the context's value receives its progress until the end."""
        ...


class ByteCount(Protocol):
    """Receives how far one download is."""

    def reached(self, done_bytes: int) -> None:
        """So many bytes of the file are there now; may fall when a download must start again."""
        ...


class LoggedProgress:
    """For programs: each step as a line in the log `likeness.packs`, no bytes.

    The first line is a warning, so that the caller learns what takes so long the first time.
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


_beginnings: list[Callable[[], AbstractContextManager[Progress]]] = [lambda: nullcontext(LoggedProgress())]


def unasked_installation() -> AbstractContextManager[Progress]:
    """The Progress of an installation that begins by itself, as that of a first comparison does: the log, unless
    `show_unasked_with` chose another.
    """
    return _beginnings[-1]()


def show_unasked_with(begin: Callable[[], AbstractContextManager[Progress]]) -> None:
    """Lets a command show such installations to its user: `begin` is called for each."""
    _beginnings.append(begin)
