"""The report of an evaluation by cell: rows for a terminal, and one self-contained page.

The page contains photos of the worst pairs, so it is as private as these; it is written only on the user's request.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from likeness.claims import LEAST_ERRORS
from likeness.evaluation.by_cell import LEAST_GENUINE, CellEvaluation
from likeness.evaluation.charts import Dot, Series, decades, dot_chart, line_chart
from likeness.evaluation.differential import Differential
from likeness.evaluation.measure import SIMILARITIES
from likeness.evaluation.report import (
    FEW,
    FEW_NOTE,
    TOO_FEW,
    cards,
    cells_text,
    enough_seen,
    fmr_text,
    fnmr_text,
    html_table,
    write_page,
)

#: The Similarities whose rates are drawn by cell.
_DRAWN = (80.0, 90.0)
#: The most curves that can be distinguished in one chart.
_MOST_CURVES = 10
_LOWEST_DRAWN = 1e-6

_NONE = "a cell has none"

CELL_HEAD = ("Cell", "People", "Pairs of one person, of two", *(f"FMR at {level:g}" for level in SIMILARITIES))
MISSED_HEAD = ("Cell", *(f"FNMR at {level:g}" for level in SIMILARITIES))
DIFFERENTIAL_HEAD = (
    "Similarity",
    "Promised",
    "Mean of cells",
    "Worst cell",
    "Max/geometric mean",
    "Max/min",
    "FDR",
    "GARBE",
)


def cell_rows(e: CellEvaluation) -> list[tuple[str, ...]]:
    """People, pairs and FMR of each cell, with intervals over people."""
    rows = []
    for name, counts in e.cells.items():
        genuine, impostor = counts.pairs
        rates = [fmr_text(rate) for rate in counts.false_match_rates()]
        rows.append((name, f"{counts.people:,}", f"{genuine:,}, {impostor:,}", *rates))
    return rows


def missed_rows(e: CellEvaluation) -> list[tuple[str, ...]]:
    """FNMR of each cell with enough genuine pairs, with intervals over people."""
    return [
        (name, *(fnmr_text(rate) for rate in counts.false_non_match_rates()))
        for name, counts in e.cells.items()
        if counts.pairs[0] >= LEAST_GENUINE
    ]


def differential_rows(e: CellEvaluation) -> list[tuple[str, ...]]:
    """At each Similarity the promised FMR, the mean and the highest of the cells, and the differential measures."""
    rows = []
    spreads = e.differentials()
    for place, level in enumerate(SIMILARITIES):
        by_cell = {name: counts.false_match_rates()[place] for name, counts in e.cells.items()}
        row = [f"{level:g}", e.calibration.claim(level).in_figures, *cells_text(by_cell)]
        if not enough_seen(by_cell):
            row += [TOO_FEW] * 4
        elif spread := spreads.get(level):
            mark = "" if all(rate.measured for rate in by_cell.values()) else FEW
            row += [*_ratios(spread, mark), f"{spread.fdr:.4f}", f"{spread.garbe:.2f}"]
        rows.append((*row, *[""] * (len(DIFFERENTIAL_HEAD) - len(row))))
    return rows


def _ratios(spread: Differential, mark: str) -> tuple[str, str]:
    """The highest rate over the geometric mean, with its interval, and over the lowest, both with `mark`."""
    if spread.max_over_geometric_mean is None:
        return _NONE, _NONE
    text, interval = f"{spread.max_over_geometric_mean:.2f}{mark}", ""
    if spread.interval:
        low, high = spread.interval
        interval = f" ({low:.2f} and more)" if high is None else f" ({low:.2f} to {high:.2f})"
    return text + interval, f"{spread.max_over_min:.2f}{mark}"


def write_cell_report(
    evaluation: CellEvaluation, to: Path, *, described: str, photo_path: Callable[[str], Path]
) -> None:
    """Writes the page to `to` atomically; `photo_path` maps a photo's name to its path. Raises OSError."""
    write_page(to, "Likeness: error rates by cell", described, _body(evaluation, photo_path))


def _body(e: CellEvaluation, photo_path: Callable[[str], Path]) -> Iterator[str]:
    yield "<p>Pairs of different people are compared within cells. A Similarity promises a false match rate (FMR) "
    yield "in the mean of the cells, with equal weights.</p>"
    yield html_table(DIFFERENTIAL_HEAD, _in_two_lines(differential_rows(e)))
    yield "<p class=note>Max/geometric mean: 1 means equality; in brackets the 95 % interval from resampled people, "
    yield "which is above 1 even for equal cells. FDR: 1 means equality. GARBE: 0 means equality.</p>"
    yield '<h2>False match rate by cell</h2><div class="charts">'
    for level in _DRAWN:
        yield f"<figure>{_by_cell(e, level)}<figcaption>At a Similarity of {level:g}. Dashed: the promise. "
        yield "Bars: 95 %, people resampled. No dot: fewer than "
        yield f"{LEAST_ERRORS} false matches, rarer than the bar's end.</figcaption></figure>"
    yield "</div>" + html_table(CELL_HEAD, _in_two_lines(cell_rows(e)))
    yield f"<p class=note>{FEW_NOTE}</p>"
    if missed := missed_rows(e):
        yield "<h2>Missed: false non-match rate by cell</h2>" + html_table(MISSED_HEAD, _in_two_lines(missed))
        yield f'<div class="charts"><figure>{_det(e)}<figcaption>Detection error trade-off: the share of '
        yield "missed pairs of one person against the share of accepted pairs of different people, down to "
        yield f"{LEAST_ERRORS} of these.</figcaption></figure></div>"
    yield f"<p class=note>{_left_out(e)}</p>"
    yield "<h2>Most similar pairs of different people</h2><p class=note>One person under two names is a wrong label, "
    yield "not a false match: check the labels.</p>" + cards(e.worst, photo_path)
    if e.missed:
        yield "<h2>Least similar pairs of one person</h2>" + cards(e.missed, photo_path)
    if e.failures:
        yield f"<h2>Photos that could not be used ({len(e.failures)})</h2>"
        yield html_table(("Photo", "Reason"), list(e.failures.items())[:100])


def _in_two_lines(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Each rate above its interval, so that the page's table stays narrow."""
    return [
        tuple(cell.replace(" (", "\n(").replace(TOO_FEW, TOO_FEW.replace("than ", "than\n")) for cell in row)
        for row in rows
    ]


def _left_out(e: CellEvaluation) -> str:
    return "Photos left out: " + ", ".join(f"{count:,} {why}" for why, count in e.left_out.items()) + "."


def _by_cell(e: CellEvaluation, level: float) -> str:
    place = SIMILARITIES.index(level)
    rates = {name: counts.false_match_rates()[place] for name, counts in e.cells.items()}
    dots = [
        Dot(name, rate.value, rate.low or 0.0, rate.high or rate.value)
        if rate.measured
        else Dot(name, None, 0.0, rate.claim.rate)
        for name, rate in rates.items()
    ]
    promise = float(e.calibration.false_match_rate(level))
    lowest = max(min([promise / 10, *(dot.low for dot in dots if dot.value)]), _LOWEST_DRAWN)
    axis = decades("false match rate", lowest, min(max(promise * 10, *(dot.high for dot in dots)), 1.0))
    return dot_chart(axis, dots, promise, f"False match rate of each cell at a Similarity of {level:g}")


def _det(e: CellEvaluation) -> str:
    chosen = [(name, counts) for name, counts in e.cells.items() if counts.pairs[0] >= LEAST_GENUINE][:_MOST_CURVES]
    series = []
    for place, (name, counts) in enumerate(chosen):
        _, fmr, fnmr = counts.curve()
        seen = fmr * counts.pairs[1] > LEAST_ERRORS - 0.5
        series.append(Series(name, f"d{place}", fmr[seen], np.maximum(fnmr[seen], 1e-3)))
    lowest = min(float(each.x.min()) for each in series)  # type: ignore[union-attr]
    return line_chart(
        decades("false match rate", max(lowest, _LOWEST_DRAWN)),
        decades("false non-match rate", 1e-3),
        series,
        "Detection error trade-off of each cell",
        falling=True,
    )
