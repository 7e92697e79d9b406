"""Standard streams that are closed or full: an error message, and no output into other files."""

import os
import re
import sys
from typing import TextIO

#: How many characters a message shows of one word, of which photos in base64 are the longest; of all lines together.
LONGEST_WORD, LONGEST_MESSAGE = 300, 3000
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
#: What a terminal would obey, in the name of a file or the words of a server.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONG_BYTES = re.compile(r"""b'(?:[^'\\]|\\.){40,}'|b"(?:[^"\\]|\\.){40,}\"""")


def open_closed_streams() -> None:
    """Opens closed standard streams to the null device, so that no file or socket gets their descriptors.

    Otherwise text printed by Python or a library could be sent to a client.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has found them closed before; they stay open as long as the process.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def say(text: str) -> None:
    """Prints a line to standard error, `shortened`. Where that cannot be written, nothing but the line is lost."""
    try:
        print(shortened(text), file=sys.stderr, flush=True)
    except OSError:
        _send_to_nowhere(sys.stderr, sys.__stderr__)


def shortened(text: str) -> str:
    """`text` without control characters, and without the most of what is too long for a message: a photo that was given
    where something else belongs.

    Bytes as Python writes them, words (paths and names are shorter), and what is left of many lines.
    """
    text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
    text = _LONG_BYTES.sub(lambda found: f"{found[0][:20]}...{found[0][-1]} ({len(found[0])} characters)", text)
    text = _LONG_WORD.sub(lambda found: f"{found[0][:LONGEST_WORD]}... ({len(found[0])} characters)", text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}... ({len(text)} characters)"


def forget_output() -> None:
    """Sends to nowhere what is left to write, which would fail again at the interpreter's end."""
    _send_to_nowhere(sys.stdout, sys.__stdout__)


def _send_to_nowhere(stream: TextIO, original: TextIO | None) -> None:
    if original is not None and stream is original:
        os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())
