"""Colours of a table on a terminal: blue cells, yellow bars around nested sections."""

from dataclasses import dataclass
from typing import TextIO

_RESET = "\x1b[0m"
_BRIGHT_BLUE = "\x1b[1m\x1b[34m"
_DIM_YELLOW = "\x1b[2m\x1b[33m"


@dataclass(frozen=True, slots=True)
class Style:
    """`colored`: whether to use colours. `resets`: end every write with a reset, as the original does on standard
    output."""

    colored: bool = False
    resets: bool = False

    def cell(self, text: str) -> str:
        return f"{_BRIGHT_BLUE}{text}{_RESET}" if self.colored else text

    def edge(self, text: str) -> str:
        return f"{_DIM_YELLOW}{text}{_RESET}" if self.colored else text

    def write(self, stream: TextIO, text: str) -> None:
        stream.write(text + _RESET if self.resets else text)

    def write_line(self, stream: TextIO, edge: str, text: str) -> None:
        """A line between two edges, in the four writes of the original."""
        for part in (edge, text, edge, "\n"):
            self.write(stream, part)


PLAIN = Style()
