"""The report of an evaluation: one self-contained page.

It contains photos of the worst pairs, so it is as private as these; it is written only on the user's request.
"""

import base64
import html
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from likeness.claims import LEAST_ERRORS
from likeness.evaluation.charts import Series, decades, evenly, histogram, line_chart
from likeness.evaluation.measure import AtSimilarity, Evaluation, Mistake
from likeness.evaluation.rates import Rate
from likeness.system.atomic_file import write_atomically

#: Marks shares of missed pairs with fewer than LEAST_ERRORS misses, and ratios with a cell that has no rate.
FEW = "*"
FEW_NOTE = (
    f"rarer than: fewer than {LEAST_ERRORS} false matches show no rate; in brackets their number and that of the "
    f"pairs. The limit is the rate of {LEAST_ERRORS}, or the end of the 95 % interval if that is higher. "
    f"{FEW} fewer than {LEAST_ERRORS} misses, or a ratio with such a cell: believe the interval, not the figure."
)
TOO_FEW = f"fewer than {LEAST_ERRORS} pairs"

_THUMBNAIL_PX = 160
_BINS = 50

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --paper: #fff; --faint: #d9dee7;
  --a: #0b6e99; --b: #c2410c; --c: #667085; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --paper: #12161d; --faint: #303846; --a: #58b9e6; --b: #ff9a62; --c: #9aa4b5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--faint); }
td { white-space: pre; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
.wide { overflow-x: auto; } .note { color: var(--c); font-size: .9rem; }
.charts { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; max-width: 44rem; } figcaption { font-size: .9rem; color: var(--c); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .title { font-weight: 600; } svg .grid { stroke: var(--faint); }
svg .line { fill: none; stroke-width: 2.5; } svg .line.a { stroke: var(--a); }
svg .line.b { stroke: var(--b); stroke-dasharray: 7 4; }
svg .line.d0 { stroke: #0b6e99; } svg .line.d1 { stroke: #0b6e99; stroke-dasharray: 6 3; }
svg .line.d2 { stroke: #c2410c; } svg .line.d3 { stroke: #c2410c; stroke-dasharray: 6 3; }
svg .line.d4 { stroke: #2f855a; } svg .line.d5 { stroke: #2f855a; stroke-dasharray: 6 3; }
svg .line.d6 { stroke: #8a5fbf; } svg .line.d7 { stroke: #8a5fbf; stroke-dasharray: 6 3; }
svg .line.d8 { stroke: #a07d00; } svg .line.d9 { stroke: #a07d00; stroke-dasharray: 6 3; }
svg .line.c { stroke: var(--c); stroke-dasharray: 2 4; }
svg .dot.a { fill: var(--a); }
svg .area { fill-opacity: .35; stroke-width: 1.5; } svg .area.a { fill: var(--a); stroke: var(--a); }
svg .area.b { fill: var(--b); stroke: var(--b); stroke-dasharray: 5 3; }
.errors { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.pair { border: 1px solid var(--faint); border-radius: 8px; padding: .6rem; }
.pair div { display: flex; gap: .5rem; } .pair img { width: calc(50% - .25rem); border-radius: 4px; }
.pair p { margin: .4rem 0 0; font-size: .85rem; overflow-wrap: anywhere; }
"""


def write_report(
    evaluation: Evaluation, to: Path, *, title: str, described: str, photo_path: Callable[[str], Path]
) -> None:
    """Writes the page to `to` atomically; `photo_path` maps a photo's name to its path. Raises OSError."""
    write_page(to, title, described, _body(evaluation, photo_path))


def write_page(to: Path, title: str, described: str, body: Iterable[str]) -> None:
    """Writes a page with the parts `body` to `to` atomically. Raises OSError."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p class=note>{html.escape(described)}</p>"
    )
    write_atomically(to, "".join([head, *body, "</body></html>\n"]).encode(), mode=0o666)


def _body(e: Evaluation, photo_path: Callable[[str], Path]) -> Iterator[str]:
    yield html_table(("Measure", "Value"), summary(e))
    yield "<h2>Error rates by threshold</h2>" + _rates(e.at_similarity)
    yield f"<p class=note>Intervals: 95 %, bootstrap over people. {FEW_NOTE}</p>"
    yield '<h2>Charts</h2><div class="charts">'
    yield from (f"<figure>{svg}<figcaption>{html.escape(words)}</figcaption></figure>" for svg, words in _charts(e))
    yield "</div>"
    for name, rows in e.groups.items():
        yield f"<h2>Group: {html.escape(name)}</h2>{_rates(rows)}"
    yield "<h2>Most similar pairs of different people</h2>" + cards(e.false_matches, photo_path)
    yield "<h2>Least similar pairs of one person</h2>" + cards(e.false_non_matches, photo_path)
    if e.failures:
        yield f"<h2>Photos that could not be used ({len(e.failures)})</h2>"
        yield html_table(("Photo", "Reason"), list(e.failures.items())[:100])


def summary(e: Evaluation) -> list[tuple[str, str]]:
    """The figures of an evaluation as (label, value), for the page and the terminal."""
    genuine, impostor = len(e.trial.genuine), len(e.trial.impostor)
    rows = [("pairs of one person, of two", f"{genuine:,}, {impostor:,}")]
    if e.accuracy is not None:
        rows.append(("accuracy, threshold chosen on the other folds", f"{e.accuracy[0]:.4f} ± {e.accuracy[1]:.4f}"))
    rows.append(("area under the ROC curve", f"{e.area_under_curve:.5f}"))
    rows.append(
        ("equal error rate, and the similarity there", f"{e.equal_error:.4f} at {e.equal_error_similarity:.1f}")
    )
    for rate, accepted in e.accepted_at.items():
        value = "too few pairs to tell" if accepted is None else f"{accepted:.4f}"
        rows.append((f"one person accepted at a false match rate of {rate:.0e}", value))
    rows.append(("photos without a usable face, pairs left out", f"{len(e.failures):,}, {e.skipped_pairs:,}"))
    return rows


def rate_cells(row: AtSimilarity) -> tuple[str, str, str]:
    """One row of the rates table: similarity, FMR, FNMR, each rate with its interval."""
    return f"{row.similarity:g}", fmr_text(row.fmr), fnmr_text(row.fnmr)


def fnmr_text(rate: Rate) -> str:
    """A false non-match rate with its interval, marked with FEW if there are too few misses."""
    return f"{rate.value:.3f}{'' if rate.measured else FEW}{_interval(rate, '{:.3f}')}"


def fmr_text(rate: Rate) -> str:
    """A false match rate with its interval: 1.0e-03 (7.0e-04 to 1.4e-03). With too few false matches an upper bound:
    rarer than 3.0e-04 (4 of 100,000).
    """
    if not rate.pairs:
        return "no pairs"
    if not rate.measured:
        return f"{rate.claim.in_figures} ({rate.errors} of {rate.pairs:,})"
    return f"{rate.claim.in_figures}{_interval(rate, '{:.1e}')}"


def _interval(rate: Rate, form: str) -> str:
    return "" if rate.low is None or rate.high is None else f" ({form.format(rate.low)} to {form.format(rate.high)})"


def cells_text(cells: Mapping[str, Rate]) -> tuple[str, str]:
    """The mean of the cells' false match rates, TOO_FEW if it cannot be given, and the highest with its cell."""
    worst = max(cells, key=lambda name: cells[name].value)
    mean = f"{np.mean([rate.value for rate in cells.values()]):.1e}"
    worst_text = f"{cells[worst].claim.in_figures} ({worst})" if cells[worst].errors else ""
    return mean if enough_seen(cells) else TOO_FEW, worst_text


def enough_seen(cells: Mapping[str, Rate]) -> bool:
    """Whether all cells together have enough false matches for a rate."""
    return sum(rate.errors for rate in cells.values()) >= LEAST_ERRORS


def _rates(rows: Sequence[AtSimilarity]) -> str:
    return html_table(("Similarity", "False match rate", "False non-match rate"), [rate_cells(row) for row in rows])


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _charts(e: Evaluation) -> Iterator[tuple[str, str]]:
    fmr, tar = e.trial.curve()
    least = min(LEAST_ERRORS / len(e.trial.impostor), 0.1)
    seen = fmr >= least
    roc = line_chart(
        decades("false match rate", least),
        evenly("one person accepted", 0.0, 1.0, 0.2),
        [Series("ROC", "a", fmr[seen], tar[seen])],
        "Share of genuine pairs accepted against the false match rate",
    )
    yield roc, "The share of accepted pairs of one person against that of accepted pairs of different people."
    edges = np.linspace(0.0, 100.0, _BINS + 1)
    heights = [np.histogram(scores, edges)[0] / len(scores) for scores in (e.trial.genuine, e.trial.impostor)]
    lowest = min(float(h[h > 0].min()) for h in heights)
    bars = histogram(
        evenly("similarity", 0, 100, 20),
        decades("share of pairs", max(lowest, 1e-7)),
        [Series("one person", "a", edges, heights[0]), Series("two people", "b", edges, heights[1])],
        "Histograms of similarity for genuine and impostor pairs",
    )
    yield bars, "The distributions of the similarities of both kinds of pairs, with a logarithmic scale of shares."
    levels = np.linspace(50.0, 99.9, 200)
    measured = np.array([e.trial.false_match_rate(level) for level in levels])
    seen = measured >= least
    promised = np.interp(levels, (80, 90, 95, 99), (-3.0, -4.0, -5.0, -6.0))
    shown = levels >= 80
    reliability = line_chart(
        evenly("similarity", 50, 100, 10),
        decades("false match rate", 1e-7),
        [
            Series("measured", "a", levels[seen], measured[seen]),
            Series("promised", "b", levels[shown], 10 ** promised[shown]),
        ],
        "Measured and promised false match rate at each similarity",
    )
    yield reliability, f"The promised rate, and the measured one as far as it is based on {LEAST_ERRORS} pairs or more."


def cards(mistakes: Sequence[Mistake], photo_path: Callable[[str], Path]) -> str:
    parts = []
    for mistake in mistakes:
        pictures = "".join(_picture(photo_path(name), name) for name in (mistake.first, mistake.second))
        names = f"{html.escape(mistake.first)}<br>{html.escape(mistake.second)}"
        parts.append(
            f'<div class="pair"><div>{pictures}</div><p><b>{mistake.similarity:.2f}</b></p><p>{names}</p></div>'
        )
    return f'<div class="errors">{"".join(parts)}</div>'


def _picture(path: Path, name: str) -> str:
    with Image.open(path) as opened:
        small = ImageOps.contain(ImageOps.exif_transpose(opened).convert("RGB"), (_THUMBNAIL_PX, _THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(name, quote=True)}" src="data:image/jpeg;base64,{data}">'
