"""The record of `benchmarks/accuracy.py` and the figures of the pack → the tables of docs/accuracy.md."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from likeness.claims import LEAST_ERRORS, claim_of_count
from likeness.evaluation.cohort import SPREAD
from likeness.packs.manifest import Manifest, Measurement


def tables(record: dict[str, Any], manifest: Manifest) -> dict[str, str]:
    """The generated tables of the model card by name."""
    return {
        "cells": cells_table(manifest),
        "promise": promise_table(manifest),
        "apart": apart_table(record["apart"]),
        "lfw": lfw_table(record["lfw"]),
        "steps": steps_table(record),
        "thresholds": thresholds_table(record["thresholds"]),
        "frontier": frontier_table(record["frontier"]),
        "robustness": robustness_table(record["robustness"]),
    }


def cells_table(manifest: Manifest) -> str:
    """The false match rate of each cell at 80 and at 90."""
    levels = ("80", "90")
    rows = []
    measured = {(row.measure, row.data): row for row in manifest.accuracy}
    cells = [row.data for row in manifest.accuracy if row.measure == "FMR at 80" and row.low is not None]
    for cell in cells:
        rates = [measured[f"FMR at {level}", cell] for level in levels]
        rows.append((cell.replace("_", " "), *(rate_of_cell(row) for row in rates)))
    means = [measured[f"FMR at {level}", "mean of cells"] for level in levels]
    rows.append(("**mean of the cells**", *(f"**{mean.value_text('{:.1e}')}**; {mean.counted}" for mean in means)))
    for what in ("geometric mean", "min"):
        found = [measured.get((f"FMR at {level}, max over {what}", "cells")) for level in levels]
        words = ["a cell has none" if row is None else ratio(row) for row in found]
        rows.append((f"highest over {what.replace('min', 'lowest')}", *words))
    return markdown(("origin and sex", "at 80 (promise 1e-3)", "at 90 (promise 1e-4)"), rows)


def rate_of_cell(row: Measurement) -> str:
    """A false match rate with its interval if it is measured, otherwise its limit; and its counts."""
    interval = row.interval_text("{:.1e}")
    return f"{row.value_text('{:.1e}')}{f' ({interval})' if interval else ''}; {row.counted}"


def ratio(row: Measurement) -> str:
    return f"{row.value:.2f}" if row.measured else f"{row.value:.2f}; a cell has {row.errors} false matches"


def rate_of(counts: Mapping[str, Any]) -> str:
    """A false match rate by its counts, or its limit."""
    claim = claim_of_count(counts["errors"], counts["pairs"])
    return claim.in_figures if claim.kind == "measured" else f"{counts['errors']} of {counts['pairs']:,}"


def promise_table(manifest: Manifest) -> str:
    """The promised and the measured false match rates of each Similarity, and its misses."""
    assert manifest.calibration is not None
    measured = {(row.measure, row.data): row for row in manifest.accuracy}
    rows = []
    for level in ("80", "90", "95", "99"):
        worst = next((row for row in manifest.accuracy if row.measure == f"FMR at {level}, worst cell"), None)
        mean = measured.get((f"FMR at {level}", "mean of cells"))
        missed = measured[f"FNMR at {level}", "lfw-dev"]
        rows.append(
            (
                level,
                manifest.calibration.claim(float(level)).in_figures,
                "fewer than 30 pairs" if mean is None else mean.value_text("{:.1e}"),
                "" if worst is None else f"{worst.value_text('{:.1e}')} ({worst.data.replace('_', ' ')})",
                f"{missed.value:.1%} ({missed.low:.1%} to {missed.high:.1%})",
            )
        )
    head = ("Similarity at least", "promised", "mean of the cells", "worst cell", "missed of lfw-dev, 95 %")
    return markdown(head, rows)


def apart_table(halves: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for number, half in enumerate(halves, 1):
        for level, row in half["at"].items():
            claim = claim_of_count(row["errors"], row["pairs"])
            mean = f"{row['mean']:.1e}" if claim.kind == "measured" else claim.in_figures
            counts = f"{row['errors']} of {row['pairs']:,}"
            cells = f"{rate_of(row['least'])} to {rate_of(row['most'])}"
            rows.append((str(number), f"{half['people']:,}", level, mean, counts, cells))
    head = ("half", "people evaluated", "Similarity at least", "mean of the cells", "false matches", "cells")
    return markdown(head, rows)


def lfw_table(measured: Mapping[str, Any]) -> str:
    introduction = (
        f"{measured['photos']:,} photos of {measured['people']:,} people; {measured['genuine_pairs']:,} pairs of one "
        f"person and {measured['impostor_pairs']:,} of two: every photo with every other."
    )
    rows = []
    for row in measured["at_similarity"]:
        fmr, fnmr = row["fmr"], row["fnmr"]
        shown = LEAST_ERRORS / measured["impostor_pairs"]
        rate = f"{fmr['value']:.1e} ({fmr['low']:.1e} to {fmr['high']:.1e})"
        rows.append(
            (
                f"{row['similarity']:.0f}",
                rate if fmr["value"] >= shown else f"rarer than {shown:.1e}",
                f"{fnmr['value']:.1%} ({fnmr['low']:.1%} to {fnmr['high']:.1%})",
            )
        )
    return introduction + "\n\n" + markdown(("Similarity at least", "false match rate, 95 %", "missed, 95 %"), rows)


def steps_table(record: Mapping[str, Any]) -> str:
    rows = []
    for row in record["steps"]:
        kind = "cohort" if "cohort" in row["name"] else "cosine"
        at_80, at_90 = row["at"].values()
        rows.append(
            (
                row["name"],
                f"{row['views'] * record['milliseconds_a_view']:.1f} ms",
                f"{record['milliseconds_a_pair'][kind]:.2f} ms",
                f"{at_80['accepted']:.3f}",
                f"{at_90['accepted']:.3f}",
                f"{rate_of(at_80['least'])} to {rate_of(at_80['most'])}",
                f"{at_80['max_over_geometric_mean']:.2f}",
            )
        )
    head = ("score", "a face", "a pair", "accepted at 1e-3", "at 1e-4", "cells at 1e-3", "highest over geometric mean")
    return markdown(head, rows)


def thresholds_table(measured: Sequence[Mapping[str, Any]]) -> str:
    """Accepted genuine pairs at thresholds set on different pairs, and the false match rates of people held out."""
    rows = [
        (
            row["cohort"],
            row["set_on"] if place else f"**{row['set_on']}**",
            *(f"{each['accepted']:.4f}" for each in row["at"].values()),
            *(f"{each['held_out']:.1e}" for each in row["at"].values()),
            f"{rate_of(row['at']['1e-03']['least'])} to {rate_of(row['at']['1e-03']['most'])}",
        )
        for place, row in enumerate(measured)
    ]
    held_out = ("rate of people held out, at 1e-3", "at 1e-4", "their cells at 1e-3")
    return markdown(("cohort", "thresholds set on", "accepted at 1e-3", "at 1e-4", *held_out), rows)


def frontier_table(measured: Sequence[Mapping[str, Any]]) -> str:
    """Accepted genuine pairs and the spread of the cells, by the spread of the cohort: means, lowest and highest."""
    rows = []
    for spread in sorted({each["spread"] for each in measured}):
        at, at_rarer = zip(*(each["at"].values() for each in measured if each["spread"] == spread), strict=True)
        over_mean = [each["max_over_geometric_mean"] for each in at]
        over_least = [each["max_over_min"] for each in at]
        shown = f"{spread:g}"
        rows.append(
            (
                f"**{shown}: `standard`**" if spread == SPREAD else shown,
                *(f"{np.mean([each['accepted'] for each in some]):.4f}" for some in (at, at_rarer)),
                *(f"{np.mean(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})" for ratio in (over_mean, over_least)),
            )
        )
    head = ("spread", "accepted at 1e-3", "at 1e-4", "highest over geometric mean", "highest over lowest")
    return markdown(head, rows)


def robustness_table(measured: dict[str, Any]) -> str:
    rows = [
        (name, f"{row['median']:.2f}", f"{row.get('p90', row.get('most')):.2f}")
        for name, row in measured.items()
        if name != "pairs"
    ]
    return f"{measured['pairs']} pairs of one person.\n\n" + markdown(
        ("the other photo", "median change", "90 % (swapped: largest)"), rows
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def with_tables(card: str, generated: Mapping[str, str]) -> str:
    """`card` with each generated table between its markers; KeyError for an unknown marker."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- {found['name']} -->\n\n{generated[found['name']]}\n\n<!-- end -->"

    return re.sub(r"<!-- (?P<name>[a-z]+) -->\n.*?<!-- end -->", part, card, flags=re.DOTALL)
