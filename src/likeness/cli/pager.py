"""Where an answer is printed to: standard output, or a pager when standard output is a terminal and a pager is
configured."""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from likeness.cli.failures import PagerError

DEFAULT_PAGER = "less"
#: What `less` does unless the user says otherwise: leave when all fits on a screen, keep colours, keep the screen.
DEFAULT_LESS_FLAGS = "FRX"


@contextlib.contextmanager
def output_stream(pager: str | None) -> Iterator[TextIO]:
    """Standard output, or the input of the program `pager`, which is started when something is written and waited for
    at the end.

    Raises PagerError when the program cannot be started.
    """
    if not pager or not is_terminal(sys.stdout):
        yield sys.stdout
        return
    stream = _PagerInput(pager)
    try:
        yield cast(TextIO, stream)
    except BrokenPipeError:
        pass  # The reader left the pager before the end.
    finally:
        stream.finish()


def is_terminal(stream: TextIO) -> bool:
    """Whether `stream` is a terminal; False for streams without a file."""
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


class _PagerInput:
    """Starts the pager at the first write: an empty answer opens none."""

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
