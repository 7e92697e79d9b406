"""Standard streams that may be closed or full, and messages of limited length on standard error."""

import os
import re
import sys
from typing import TextIO

#: The most characters of one word in a message, which may be a photo in base64, and of the whole message.
LONGEST_WORD, LONGEST_MESSAGE = 300, 3000
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
#: Control characters, which a terminal would interpret, in file names or texts of servers.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONG_BYTES = re.compile(r"""b'(?:[^'\\]|\\.){40,}'|b"(?:[^"\\]|\\.){40,}\"""")

#: The descriptors that `open_closed_streams` has opened.
_closed: set[int] = set()


def open_closed_streams() -> None:
    """Opens closed standard streams to the null device, so that no file or socket gets their descriptors.

    Otherwise text printed by Python or a library could be sent to a client.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(os.open(os.devnull, os.O_RDWR))
    # Python sets closed streams to None at start; these stay open as long as the process.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def output_was_closed() -> bool:
    """Whether standard output was closed when the process started, so that nobody sees what is printed."""
    return 1 in _closed


def say(text: str) -> None:
    """Prints a line, `shortened`, to standard error; it is lost if that cannot be written."""
    try:
        print(shortened(text), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr, sys.__stderr__)


def shortened(text: str) -> str:
    """`text` without control characters, and cut where it is too long, as when a photo is given instead of a name.

    Cuts the repr of bytes, long words (paths and names are shorter), and the rest of a long text.
    """
    text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
    text = _LONG_BYTES.sub(lambda found: f"{found[0][:20]}...{found[0][-1]} ({len(found[0])} characters)", text)
    text = _LONG_WORD.sub(lambda found: f"{found[0][:LONGEST_WORD]}... ({len(found[0])} characters)", text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}... ({len(text)} characters)"


def forget_output() -> None:
    """Discards pending output, which would fail again when the interpreter exits."""
    _discard(sys.stdout, sys.__stdout__)


def _discard(stream: TextIO, original: TextIO | None) -> None:
    if original is not None and stream is original:
        os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())
