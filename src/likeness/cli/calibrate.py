"""`likeness calibrate PAIRS.csv --into PACK`: learns a pack's metric and strangers and fits its Similarity."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.cli.evaluate import progress_over
from likeness.cli.main import OTHER_ERROR
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.cli.tool_arguments import ToolParser
from likeness.comparer import Comparer
from likeness.evaluation.embeddings import embed_photos
from likeness.evaluation.learning import Outcome, calibrate
from likeness.evaluation.pack_data import Learned, write_pack_data
from likeness.evaluation.pairs import read_pairs


def main(arguments: Sequence[str]) -> int:
    """Runs `likeness calibrate` with `arguments` and returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    pairs = read_pairs(options.pairs)
    images = options.images or options.pairs.parent
    with Comparer(options.pack) as comparer:
        with progress_over(len(pairs.photos)) as advance:
            photos = [images / name for name in pairs.photos]
            embeddings = embed_photos(comparer, photos, keep=options.embeddings, advance=advance)
        try:
            outcome = calibrate(comparer, pairs, embeddings, keep_scoring=options.keep_scoring)
        except ValueError as error:
            print(f"likeness: {options.pairs}: {error}", file=sys.stderr)
            return OTHER_ERROR
    measured_on = options.name or options.pairs.resolve().parent.name
    command = f"likeness calibrate {options.pairs.name} --pack {options.pack}"
    accuracy = outcome.measurements(measured_on, command)
    _print(outcome)
    if options.into:
        learned = Learned(outcome.calibration, outcome.scoring, accuracy, measured_on, command)
        for path in write_pack_data(options.into, learned):
            print(f"written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness calibrate",
        description="Learns what a pack's scores are compared with, and fits its Similarity so that 1 in 1,000 pairs "
        "of strangers reaches 80, 1 in 10,000 reaches 90, 1 in 100,000 reaches 95 and 1 in 1,000,000 reaches 99. "
        "Every pair of the photos is used, and each is scored by what was learned without its two people.",
    )
    parser.add_argument("pairs", type=Path, metavar="PAIRS.csv", help="columns image_a, image_b, same; fold if any")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the photos are (default: beside the pairs)")
    parser.add_argument("--pack", default="standard", help="a pack's name or folder (default: standard)")
    parser.add_argument(
        "--into", type=Path, metavar="PACK", help="write into this pack's folder or description (.toml)"
    )
    parser.add_argument("--keep-scoring", action="store_true", help="fit the curve only, for the scores as they are")
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="keep vectors here and resume from it")
    parser.add_argument("--name", help="how the data is called in the pack (default: its folder's name)")
    return parser


def _print(outcome: Outcome) -> None:
    print_title("Learned and judged on different people")
    print_facts(outcome.facts())
    levels = np.array([50.0, 80.0, 90.0, 95.0, 99.0])
    rates = outcome.calibration.false_match_rate(levels)
    rows = []
    for level, rate, fmr, fnmr in zip(levels, rates, *outcome.at_similarity(levels), strict=True):
        mark = " (extrapolated)" if np.log10(rate) < outcome.calibration.measured_log10_rate else ""
        rows.append((f"{level:.0f}", f"{rate:.1e}{mark}", f"{fmr.value:.2e}", f"{fnmr.value:.4f}"))
    print_table(("Similarity", "FMR promised", "FMR on these pairs", "FNMR"), rows)
