"""`likeness evaluate TABLE.csv`: error rates of a pack on labelled pairs of photos, or within cells of people."""

import argparse
import errno
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from likeness.calibrated import check_calibrated
from likeness.cli.connection import chosen_pack
from likeness.cli.exit_codes import OTHER_ERROR
from likeness.cli.streams import say
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.cli.tool_arguments import DEVICE_HELP, ToolParser
from likeness.comparer import Comparer, ComparerSettings
from likeness.evaluation.by_cell import CalibratedScorer, CellEvaluation, blocks_of, cells_to_compare, evaluate_cells
from likeness.evaluation.cell_report import (
    CELL_HEAD,
    DIFFERENTIAL_HEAD,
    MISSED_HEAD,
    cell_rows,
    differential_rows,
    missed_rows,
    write_cell_report,
)
from likeness.evaluation.embeddings import Embeddings, embed_photos
from likeness.evaluation.measure import AtSimilarity, Evaluation, evaluate
from likeness.evaluation.pairs import every_pair, read_pairs
from likeness.evaluation.photo_table import is_photo_table, read_photo_table
from likeness.evaluation.rates import Rate
from likeness.evaluation.report import FEW_NOTE, rate_cells, summary, write_report
from likeness.evaluation.results_file import opened
from likeness.evaluation.stored_counts import StoredCounts
from likeness.faces import QUALITY_FILTERS
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import read_manifest
from likeness.runtime.devices import DEVICES
from likeness.system.atomic_file import check_not_input, check_writable, write_atomically

#: The figures of an evaluation, and what writes its page to a path.
_Measured = tuple[dict[str, Any], Callable[[Path], None]]


def main(arguments: Sequence[str]) -> int:
    """Runs `likeness evaluate` with `arguments` and returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    measure = _evaluate_cells if is_photo_table(options.table) else _evaluate_pairs
    images = options.images or options.table.parent
    if not images.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", f"--images {images}")
    for output in _outputs(options):
        check_writable(output)
        others = (options.table, options.embeddings, options.json, options.report)
        check_not_input(output, [each for each in others if each and each is not output])
    check_calibrated(read_manifest(pack_folder(options.pack)))
    with Comparer(options.pack, settings=ComparerSettings(device=options.device)) as comparer:
        described = (
            f"{comparer.pack_identity}; {options.table.name}; quality filter {options.quality_filter}; "
            f"{options.face} face"
        )
        try:
            figures, write_page = measure(comparer, options, images, described)
        except ValueError as error:
            say(f"likeness: {options.table}: {error}")
            return OTHER_ERROR
    if options.json:
        write_atomically(options.json, f"{json.dumps(figures, indent=2)}\n".encode(), mode=0o666)
    if options.report:
        write_page(options.report)
        print(f"\nreport: {options.report}")
    return 0


def _outputs(options: argparse.Namespace) -> list[Path]:
    return [each for each in (options.json, options.report) if each]


def _evaluate_pairs(comparer: Comparer, options: argparse.Namespace, images: Path, described: str) -> _Measured:
    if options.within:
        raise ValueError("--within needs a table of photos: a line for each, with the columns image and person")
    pairs = read_pairs(options.table)
    if options.all_pairs:
        pairs = every_pair(pairs)
    embeddings = _embedded(comparer, options, [images / name for name in pairs.photos])
    result = evaluate(comparer, pairs, embeddings)
    _print(result, described)
    title = "Likeness: measured error rates"
    page = partial(write_report, result, title=title, described=described, photo_path=images.joinpath)
    return as_json(result, described), page


def _evaluate_cells(comparer: Comparer, options: argparse.Namespace, images: Path, described: str) -> _Measured:
    table = read_photo_table(options.table)
    within = [name for name in options.within.split(",") if name]
    table.cells(within)  # reports a missing column before an hour of work
    embeddings = _embedded(comparer, options, [images / name for name in table.photos])
    cells = cells_to_compare(table, embeddings, within)
    scoring = CalibratedScorer(comparer.scorer, comparer.calibration)
    blocks = blocks_of({name: len(at) for name, at in cells.items()})
    with progress_over(blocks, "blocks of pairs") as advance, opened(options.embeddings) as database:
        kept = StoredCounts(database, comparer.pack_identity)
        result = evaluate_cells(scoring, table, embeddings, cells, kept=kept, advance=advance)
    _print_cells(result, described)
    page = partial(write_cell_report, result, described=described, photo_path=images.joinpath)
    return cells_as_json(result, described), page


def _embedded(comparer: Comparer, options: argparse.Namespace, photos: Sequence[Path]) -> Embeddings:
    for output in _outputs(options):
        check_not_input(output, photos)
    with progress_over(len(photos)) as advance:
        return embed_photos(
            comparer,
            photos,
            quality_filter=options.quality_filter,
            prefer=options.face,
            keep=options.embeddings,
            advance=advance,
        )


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness evaluate",
        description="Measures the error rates of a pack on labelled pairs of photos, or on all pairs within cells.",
    )
    parser.add_argument(
        "table",
        type=Path,
        metavar="TABLE.csv",
        help="photos (columns image, person, any others) or pairs (image_a, image_b, same; fold, group if any)",
    )
    parser.add_argument(
        "--within",
        default="",
        metavar="COLUMNS",
        help="for a table of photos: compare people within cells, such as group,sex (default: one cell)",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the photos are (default: the table's folder)")
    parser.add_argument(
        "--pack", default=chosen_pack(None), help="a pack's name or folder (LIKENESS_PACK, else standard)"
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help=DEVICE_HELP)
    parser.add_argument(
        "--all-pairs", action="store_true", help="for a table of pairs: compare every photo with every other"
    )
    parser.add_argument("--quality-filter", choices=QUALITY_FILTERS, default="NONE", help="exclude faces that fail it")
    parser.add_argument(
        "--face",
        choices=("central", "largest"),
        default="central",
        help="of several faces, use the central one (default), to which labels usually refer, or the largest, as in "
        "CompareFaces",
    )
    parser.add_argument(
        "--embeddings", type=Path, metavar="FILE", help="keep vectors and counts here and resume from it"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write a page with charts and the worst errors"
    )
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write the figures")
    return parser


@contextmanager
def progress_over(count: int, what: str = "photos") -> Iterator[Callable[[], None]]:
    """Progress on standard error: a bar on a terminal, otherwise occasional lines; call the result once per item."""
    if not sys.stderr.isatty():
        yield _plain_lines(count, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=count)
        yield lambda: bar.advance(task)


def _plain_lines(count: int, what: str) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done % 1000 == 0 or done == count:
            say(f"likeness: {done} of {count} {what}")

    return advance


def _print(result: Evaluation, described: str) -> None:
    print_title(described)
    print_facts(summary(result))
    print_table(
        ("Similarity", "False match rate (95 %)", "False non-match rate (95 %)"),
        [rate_cells(row) for row in result.at_similarity],
    )
    print(FEW_NOTE)
    for name, rows in result.groups.items():
        print_title(f"group {name}")
        print_table(("Similarity", "False match rate", "False non-match rate"), [rate_cells(row) for row in rows])
    for title, mistakes in (
        ("Most similar pairs of different people", result.false_matches),
        ("Least similar pairs of one person", result.false_non_matches),
    ):
        print_title(title)
        print_table(("Similarity", "Photo", "Photo"), [(f"{m.similarity:.2f}", m.first, m.second) for m in mistakes])


def _print_cells(result: CellEvaluation, described: str) -> None:
    print_title(described)
    print_facts([(f"photos {why}", f"{count:,}") for why, count in result.left_out.items()])
    print_title("Pairs of different people within each cell (95 %: people resampled)")
    print_table(CELL_HEAD, cell_rows(result))
    print(FEW_NOTE)
    if missed := missed_rows(result):
        print_title("Pairs of one person")
        print_table(MISSED_HEAD, missed)
    print_title("Differences between the cells")
    print_table(DIFFERENTIAL_HEAD, differential_rows(result))
    print_title("Most similar pairs of different people: check the labels")
    print_table(("Similarity", "Photo", "Photo"), [(f"{m.similarity:.2f}", m.first, m.second) for m in result.worst])


def cells_as_json(result: CellEvaluation, described: str) -> dict[str, Any]:
    """The figures of an evaluation by cell, without photos' names."""
    cells = {}
    for name, counts in result.cells.items():
        genuine, impostor = counts.pairs
        rates = zip(counts.levels, counts.false_match_rates(), counts.false_non_match_rates(), strict=True)
        cells[name] = {
            "people": counts.people,
            "genuine_pairs": genuine,
            "impostor_pairs": impostor,
            "at_similarity": [
                {"similarity": level, "fmr": rate_as_json(fmr), "fnmr": rate_as_json(fnmr) if genuine else None}
                for level, fmr, fnmr in rates
            ],
        }
    return {
        "of": described,
        "left_out": result.left_out,
        "cells": cells,
        "differentials": {f"{level:g}": asdict(each) for level, each in result.differentials().items()},
    }


def at_similarity_as_json(row: AtSimilarity) -> dict[str, Any]:
    return {"similarity": row.similarity, "fmr": rate_as_json(row.fmr), "fnmr": rate_as_json(row.fnmr)}


def rate_as_json(rate: Rate) -> dict[str, Any]:
    """The counts, and the rate with its interval; with too few errors for a rate, instead what it is rarer than."""
    counted = {"errors": rate.errors, "pairs": rate.pairs}
    if rate.pairs and not rate.measured:
        return {**counted, "rarer_than": rate.claim.rate}
    return {**counted, "value": rate.value, "low": rate.low, "high": rate.high}


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
        "at_similarity": [at_similarity_as_json(row) for row in result.at_similarity],
        "groups": {name: [at_similarity_as_json(row) for row in rows] for name, rows in result.groups.items()},
        "photos_without_a_face": len(result.failures),
        "pairs_left_out": result.skipped_pairs,
    }
