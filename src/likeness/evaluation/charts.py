"""Charts as SVG text: axes, lines and bars, for small and large screens and light and dark colour schemes."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The size of the drawing in its units. Its letters are 12 units high; a phone shows it 330 px wide.
_WIDTH, _HEIGHT = 480, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its title, its range, and the positions and labels of its marks; `log` for decades."""

    title: str
    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """The position of `value` between the ends, clipped to 0 to 1."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
        return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One line or set of bars: its name for the legend, its style class (a, b, c, or d0 to d9), and its points."""

    name: str
    style: str
    x: Sequence[float] | NDArray[np.float64]
    y: Sequence[float] | NDArray[np.float64]


def decades(title: str, low: float, high: float = 1.0) -> Axis:
    """A logarithmic axis of at least one decade that contains `low` and `high`, with a mark at every power of ten."""
    last = math.ceil(math.log10(high))
    first = min(math.floor(math.log10(low)), last - 1)
    marks = tuple((10.0**power, "1" if power == 0 else f"1e{power}") for power in range(first, last + 1))
    return Axis(title, 10.0**first, 10.0**last, marks, log=True)


def evenly(title: str, low: float, high: float, step: float) -> Axis:
    """A linear axis with a mark every `step`."""
    count = round((high - low) / step)
    return Axis(title, low, high, tuple((low + k * step, f"{low + k * step:g}") for k in range(count + 1)))


def line_chart(x: Axis, y: Axis, series: Sequence[Series], label: str, *, falling: bool = False) -> str:
    """Lines over two axes; `label` describes the chart for screen readers. The legend is in the upper right corner for
    `falling` lines, otherwise in the upper left one.
    """
    legend = _legend(series, _WIDTH - _RIGHT - 140 if falling else _LEFT)
    return _frame(x, y, legend, [_line(x, y, each) for each in series], label)


def histogram(x: Axis, y: Axis, series: Sequence[Series], label: str) -> str:
    """Histograms; `x` of a series holds the edges of the bins, one more than `y` has heights."""
    return _frame(x, y, _legend(series, _LEFT), [_steps(x, y, each) for each in series], label)


@dataclass(frozen=True, slots=True)
class Dot:
    """A value with its interval, in a row of its own; `value` is None if only the interval is known."""

    name: str
    value: float | None
    low: float
    high: float


def dot_chart(x: Axis, dots: Sequence[Dot], promise: float, label: str) -> str:
    """One row for each of `dots` over a shared axis, and the `promise` as a line across all rows."""
    left, row_height = min(30 + 7 * max(len(dot.name) for dot in dots), _WIDTH // 2), 26
    height = _TOP + row_height * len(dots) + _BOTTOM

    def at(value: float) -> float:
        return round(left + x.place(value) * (_WIDTH - left - _RIGHT), 1)

    floor = height - _BOTTOM
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(label, quote=True)}">']
    for value, text in x.marks:
        parts.append(f'<line class="grid" x1="{at(value)}" x2="{at(value)}" y1="{_TOP}" y2="{floor}"/>')
        parts.append(f'<text x="{at(value)}" y="{floor + 18}" text-anchor="middle">{html.escape(text)}</text>')
    for place, dot in enumerate(dots):
        y = _TOP + row_height * (place + 0.5)
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{html.escape(dot.name)}</text>')
        parts.append(f'<line class="line a" x1="{at(dot.low)}" x2="{at(dot.high)}" y1="{y}" y2="{y}"/>')
        if dot.value is not None:
            parts.append(f'<circle class="dot a" cx="{at(dot.value)}" cy="{y}" r="5"/>')
    parts.append(f'<line class="line b" x1="{at(promise)}" x2="{at(promise)}" y1="{_TOP}" y2="{floor}"/>')
    middle = (left + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{height - 8}" text-anchor="middle">{html.escape(x.title)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _frame(x: Axis, y: Axis, legend: Sequence[str], shapes: Sequence[str], label: str) -> str:
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(label, quote=True)}">']
    for value, text in x.marks:
        at = _x(x, value)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{html.escape(text)}</text>')
    for value, text in y.marks:
        at = _y(y, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4}" text-anchor="end">{html.escape(text)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{html.escape(x.title)}</text>'
    )
    turned = f'transform="rotate(-90)" x="{-(_TOP + _HEIGHT - _BOTTOM) / 2}" y="14" text-anchor="middle"'
    parts.append(f'<text class="title" {turned}>{html.escape(y.title)}</text>')
    return "".join([*parts, *shapes, *legend, "</svg>"])


def _legend(series: Sequence[Series], left: float) -> list[str]:
    """The names of several series; nothing for a single one."""
    parts = []
    for place, each in enumerate(series if len(series) > 1 else ()):
        y = _TOP + 14 + 17 * place
        parts.append(f'<line class="line {each.style}" x1="{left + 12}" x2="{left + 40}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{left + 46}" y="{y + 4}">{html.escape(each.name)}</text>')
    return parts


def _line(x: Axis, y: Axis, series: Series) -> str:
    points = " ".join(f"{_x(x, a)},{_y(y, b)}" for a, b in zip(series.x, series.y, strict=True))
    return f'<polyline class="line {series.style}" points="{points}"/>'


def _steps(x: Axis, y: Axis, series: Series) -> str:
    floor = _HEIGHT - _BOTTOM
    points = [f"{_x(x, series.x[0])},{floor}"]
    for left, right, height in zip(series.x[:-1], series.x[1:], series.y, strict=True):
        points += [f"{_x(x, left)},{_y(y, height)}", f"{_x(x, right)},{_y(y, height)}"]
    points.append(f"{_x(x, series.x[-1])},{floor}")
    return f'<polygon class="area {series.style}" points="{" ".join(points)}"/>'


def _x(axis: Axis, value: float) -> float:
    return round(_LEFT + axis.place(float(value)) * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(_HEIGHT - _BOTTOM - axis.place(float(value)) * (_HEIGHT - _TOP - _BOTTOM), 1)
