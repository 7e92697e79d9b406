"""`--output table`: tables as AWS CLI version 2 draws them.

An answer becomes sections with a title, optionally a row of headers, and rows of cells. All sections are as wide as the
widest; a nested section has an additional bar on both sides. If the table is wider than the terminal, sections of one
row are transposed: one row per header.
"""

import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from likeness.cli.formats.style import PLAIN, Style

CELL_PADDING = 4
DEFAULT_WIDTH = 80


def write(answer: Any, stream: TextIO, *, title: str, style: Style = PLAIN, width: int | None = None) -> None:
    """Writes `answer` as a table; nothing for an empty one. `width` is in columns, by default that of the terminal."""
    layout = _Layout()
    layout.add(title, answer, 0)
    if not layout.sections:
        return
    sections = layout.sections
    total = max(section.total_width() for section in sections)
    if total > (terminal_width() if width is None else width):
        sections = [section.transposed() for section in sections]
        total = max(section.total_width() for section in sections)
    style.write(stream, "-" * total + "\n")
    for section in sections:
        section.render(stream, total, style)


def terminal_width() -> int:
    """The terminal's width in columns; 80 if standard output is not a terminal."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return DEFAULT_WIDTH


def text_width(text: str) -> int:
    """Columns that `text` takes: full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WFA" else 1 for character in text)


@dataclass(slots=True)
class _Section:
    """A titled part of the table, `depth` levels inside others."""

    title: str
    depth: int
    headers: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def add_row(self, cells: Sequence[Any]) -> None:
        columns = len(self.headers or (self.rows[0] if self.rows else cells))
        if len(cells) != columns:
            raise ValueError(f"Row should have {columns} elements, instead it has {len(cells)}")
        self.rows.append([str(cell) for cell in cells])

    def cell_widths(self) -> list[int]:
        lines = [self.headers, *self.rows] if self.headers else self.rows
        return [max(text_width(cell) for cell in column) for column in zip(*lines, strict=True)]

    def total_width(self) -> int:
        outside = 2 * self.depth
        content = sum(width + CELL_PADDING for width in self.cell_widths()) + 2
        return max(text_width(self.title) + 2, content) + outside

    def transposed(self) -> "_Section":
        if len(self.rows) != 1 or not self.headers:
            return self
        pairs = zip(self.headers, self.rows[0], strict=True)
        return _Section(self.title, self.depth, rows=[list(pair) for pair in pairs])

    def render(self, stream: TextIO, total: int, style: Style) -> None:
        width = total - 2 * self.depth
        edge = style.edge("|") * self.depth
        if self.title:
            style.write_line(stream, edge, "|" + _centred(self.title, width - 1) + "|")
            if not self.headers and not self.rows:
                style.write_line(stream, edge, f"+{'-' * (width - 2)}+")
        widths = _scaled([cell + CELL_PADDING for cell in self.cell_widths()], width)
        if not widths:
            return
        # The first cell has an edge on both sides, so one column less for its content.
        widths[0] -= 1
        rule = "+" + "".join("-" * (each - 1) + "+" for each in widths)
        if self.headers:
            style.write_line(stream, edge, rule)
            cells = [
                _centred(header, each, first=not at)
                for at, (header, each) in enumerate(zip(self.headers, widths, strict=True))
            ]
            style.write_line(stream, edge, "|" + "".join(cell + "|" for cell in cells))
        if self.rows:
            style.write_line(stream, edge, rule)
            for row in self.rows:
                cells = [_left(cell, each, style) for cell, each in zip(row, widths, strict=True)]
                style.write_line(stream, edge, "|" + "".join(cell + "|" for cell in cells))
            style.write_line(stream, edge, rule)


class _Layout:
    """The sections of an answer in order; rows without a title belong to the last section."""

    def __init__(self) -> None:
        self.sections: list[_Section] = []

    def add(self, title: str | None, value: Any, depth: int) -> None:
        if not value:
            return
        if title is not None:
            self.sections.append(_Section(title, depth))
        if isinstance(value, dict):
            self._add_dictionary(value, depth)
        elif isinstance(value, list) and isinstance(value[0], dict):
            self._add_dictionaries(value, title, depth)
        elif isinstance(value, list):
            for item in value:
                if _is_scalar(item):
                    self.sections[-1].add_row([item])
                elif all(_is_scalar(each) for each in item):
                    self.sections[-1].add_row(list(item))
                else:
                    self.add(None, item, 0)

    def _add_dictionary(self, value: dict[str, Any], depth: int) -> None:
        scalars = sorted(key for key in value if _is_scalar(value[key]))
        section = self.sections[-1]
        if len(scalars) == 1:
            section.add_row([scalars[0], value[scalars[0]]])
        elif scalars:
            section.headers = scalars
            section.add_row([value[key] for key in scalars])
        for key in sorted(set(value) - set(scalars)):
            self.add(key, value[key], depth + 1)

    def _add_dictionaries(self, values: list[dict[str, Any]], title: str | None, depth: int) -> None:
        headers = sorted({key for value in values for key in value if _is_scalar(value[key])})
        nested = sorted({key for value in values for key in value if not _is_scalar(value[key])})
        self.sections[-1].headers = headers
        for at, value in enumerate(values):
            if at and nested:
                self.sections.append(_Section(title or "", depth, headers=headers))
            self.sections[-1].add_row([value.get(key, "") for key in headers])
            for key in nested:
                if key in value:
                    self.add(key, value[key], depth + 1)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (list, dict))


def _scaled(widths: list[int], total: int) -> list[int]:
    """`widths` scaled to integers that sum to `total`; the rounding error is spread over the columns."""
    if not widths:
        return []
    factor = total / sum(widths)
    scaled = [round(factor * width) for width in widths]
    excess = sum(scaled) - total
    while excess:
        step = -1 if excess > 0 else 1
        for at in range(len(scaled)) if excess > 0 else reversed(range(len(scaled))):
            scaled[at] += step
            excess += step
            if not excess:
                break
    return scaled


def _centred(text: str, width: int, *, first: bool = True) -> str:
    """`text` in the middle of a cell of `width` columns, the last of which is the edge; it counts for all but the first
    cell."""
    whole = width + 1 if first else width
    before = whole // 2 - text_width(text) // 2 - 1
    return " " * before + text + " " * (width - 1 - before - text_width(text))


def _left(text: str, width: int, style: Style) -> str:
    """`text` at the left of a cell of `width` columns, the last of which is the edge; indented by two if it fits."""
    length = text_width(text)
    padding = 2 if width - 1 - length - 2 >= 0 else 0
    return " " * padding + style.cell(text) + " " * (width - 1 - length - padding)
