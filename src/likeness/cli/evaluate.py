"""`likeness evaluate PAIRS.csv`: error rates of a pack on labelled pairs of photos."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from likeness.cli.main import OTHER_ERROR
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.cli.tool_arguments import ToolParser
from likeness.comparer import Comparer
from likeness.evaluation.embeddings import embed_photos
from likeness.evaluation.measure import Evaluation, evaluate
from likeness.evaluation.pairs import every_pair, read_pairs
from likeness.evaluation.report import rate_cells, summary, write_report
from likeness.faces import QUALITY_FILTERS


def main(arguments: Sequence[str]) -> int:
    """Runs `likeness evaluate` with `arguments` and returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    pairs = read_pairs(options.pairs)
    if options.all_pairs:
        pairs = every_pair(pairs)
    images = options.images or options.pairs.parent
    with Comparer(options.pack) as comparer, progress_over(len(pairs.photos)) as advance:
        embeddings = embed_photos(
            comparer,
            [images / name for name in pairs.photos],
            quality_filter=options.quality_filter,
            prefer=options.face,
            keep=options.embeddings,
            advance=advance,
        )
        try:
            result = evaluate(comparer, pairs, embeddings)
        except ValueError as error:
            print(f"likeness: {options.pairs}: {error}", file=sys.stderr)
            return OTHER_ERROR
        described = "; ".join(
            (
                comparer.pack_identity,
                options.pairs.name,
                f"quality filter {options.quality_filter}",
                f"{options.face} face",
            )
        )
    _print(result, described)
    if options.json:
        options.json.write_text(json.dumps(as_json(result, described), indent=2) + "\n", "utf-8")
    if options.report:
        write_report(
            result,
            options.report,
            title="Likeness: measured error rates",
            described=described,
            photo_path=images.joinpath,
        )
        print(f"\nreport: {options.report}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness evaluate", description="Measures how often a pack errs on labelled pairs of photos."
    )
    parser.add_argument(
        "pairs", type=Path, metavar="PAIRS.csv", help="columns image_a, image_b, same; fold, group if any"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the photos are (default: beside the pairs)")
    parser.add_argument("--pack", default="standard", help="a pack's name or folder (default: standard)")
    parser.add_argument("--all-pairs", action="store_true", help="compare every photo with every other")
    parser.add_argument("--quality-filter", choices=QUALITY_FILTERS, default="NONE", help="leave out what fails it")
    parser.add_argument(
        "--face",
        choices=("central", "largest"),
        default="central",
        help="of several faces, the one in the middle (default), whom a set of photos is labelled after, or the "
        "largest, which the operation compares",
    )
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="keep vectors here and resume from it")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write a page with charts and the worst errors"
    )
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write the figures")
    return parser


@contextmanager
def progress_over(photos: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, a line now and then elsewhere, on standard error; what it gives is called for each photo."""
    if not sys.stderr.isatty():
        yield _plain_lines(photos)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("photos"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("photos", total=photos)
        yield lambda: bar.advance(task)


def _plain_lines(photos: int) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done % 1000 == 0 or done == photos:
            print(f"likeness: {done} of {photos} photos", file=sys.stderr)

    return advance


def _print(result: Evaluation, described: str) -> None:
    print_title(described)
    print_facts(summary(result))
    print_table(
        ("Similarity", "False match rate (95 %)", "False non-match rate (95 %)"),
        [rate_cells(row) for row in result.at_similarity],
    )
    for name, rows in result.groups.items():
        print_title(f"group {name}")
        print_table(("Similarity", "False match rate", "False non-match rate"), [rate_cells(row) for row in rows])
    for title, mistakes in (
        ("Strangers most alike", result.false_matches),
        ("One person least alike", result.false_non_matches),
    ):
        print_title(title)
        print_table(("Similarity", "Photo", "Photo"), [(f"{m.similarity:.2f}", m.first, m.second) for m in mistakes])


def as_json(result: Evaluation, described: str) -> dict[str, Any]:
    """The figures of an evaluation, without photos' names."""
    return {
        "of": described,
        "genuine_pairs": len(result.trial.genuine),
        "impostor_pairs": len(result.trial.impostor),
        "accuracy": result.accuracy,
        "area_under_curve": result.area_under_curve,
        "equal_error_rate": result.equal_error,
        "accepted_at_false_match_rate": {f"{rate:.0e}": value for rate, value in result.accepted_at.items()},
        "at_similarity": [asdict(row) for row in result.at_similarity],
        "groups": {name: [asdict(row) for row in rows] for name, rows in result.groups.items()},
        "photos_without_a_face": len(result.failures),
        "pairs_left_out": result.skipped_pairs,
    }
