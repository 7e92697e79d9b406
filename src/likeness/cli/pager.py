"""The stream for an answer: standard output, or the configured pager if standard output is a terminal."""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from likeness.cli.failures import PagerError

DEFAULT_PAGER = "less"
#: The flags of `less` unless the user sets others: exit if all fits on one screen, keep colours, keep the screen.
DEFAULT_LESS_FLAGS = "FRX"


@contextlib.contextmanager
def output_stream(pager: str | None) -> Iterator[TextIO]:
    """Standard output, or the input of the program `pager`, which starts at the first write.

    Waits for the pager at the end. Raises PagerError if it cannot be started.
    """
    if not pager or not is_terminal(sys.stdout):
        yield sys.stdout
        return
    stream = _PagerInput(pager)
    try:
        yield cast(TextIO, stream)
    except BrokenPipeError:
        pass  # the user left the pager before the end
    finally:
        stream.finish()


def is_terminal(stream: TextIO) -> bool:
    """Whether `stream` is a terminal; False for streams without a file."""
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


class _PagerInput:
    """Starts the pager at the first write, so that an empty answer opens none."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
        self._process: subprocess.Popen[str] | None = None

    def write(self, text: str) -> int:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        return self._process.stdin.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.flush()

    def finish(self) -> None:
        if self._process is not None:
            self._process.communicate()

    def _start(self) -> "subprocess.Popen[str]":
        environment = {"LESS": DEFAULT_LESS_FLAGS, **os.environ}
        try:
            return subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment, text=True)
        except FileNotFoundError as error:
            raise PagerError(error) from error
