"""`likeness calibrate TABLE.csv ... --into PACK`: draws a pack's cohort and fits its Similarity."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from likeness.calibrated import calibrate_command, is_in_cache
from likeness.cli.connection import chosen_pack
from likeness.cli.evaluate import progress_over
from likeness.cli.exit_codes import OTHER_ERROR
from likeness.cli.streams import say
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.cli.tool_arguments import DEVICE_HELP, ToolParser
from likeness.comparer import Comparer, ComparerSettings
from likeness.counted import counted
from likeness.errors import PackInvalid
from likeness.evaluation.cross_fit import PARTS
from likeness.evaluation.labelled import LabelledFaces, label_faces
from likeness.evaluation.learning import LEVELS, Outcome, calibrate
from likeness.evaluation.pack_data import Learned, description_of, write_pack_data
from likeness.evaluation.photo_table import read_either
from likeness.evaluation.report import FEW_NOTE, cells_text, fmr_text
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import parse_manifest, read_manifest
from likeness.runtime.devices import DEVICES
from likeness.system.atomic_file import check_writable


def main(arguments: Sequence[str]) -> int:
    """Runs `likeness calibrate` with `arguments` and returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    within = [name for name in options.within.split(",") if name]
    if options.pack is None:
        is_folder = options.into and options.into.suffix != ".toml"
        options.pack = str(options.into.absolute()) if is_folder else chosen_pack(None)
    if options.into:
        check_writable(description_of(options.into))
        _check_target(options)
    with Comparer(options.pack, settings=ComparerSettings(device=options.device)) as comparer:
        sets = [_faces(comparer, path, within, options) for path in options.tables]
        try:
            with progress_over(PARTS * (PARTS - 1) // 2, "models") as advance:
                keep = comparer.scorer if options.keep_scoring else None
                outcome = calibrate(sets, within=within, keep=keep, advance=advance)
        except ValueError as error:
            say(f"likeness: {', '.join(map(str, options.tables))}: {error}")
            return OTHER_ERROR
    command = _command(options)
    _print(sets, outcome)
    if options.into:
        measured_on = " and ".join(each.name for each in sets)
        learned = Learned(outcome.calibration, outcome.cohort, outcome.measurements(command), measured_on, command)
        for path in write_pack_data(options.into, learned):
            print(f"written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness calibrate",
        description="Draws the cohort that normalises a pack's scores, and fits its Similarity so that of pairs of "
        "different people within a cell, such as one origin and sex, 1 in 1,000 reaches 80, 1 in 10,000 reaches 90, "
        "1 in 100,000 reaches 95 and 1 in 1,000,000 reaches 99, in the mean of the cells. Each pair is scored with a "
        "cohort drawn without its two people. What is claimed of a Similarity names the columns of the cells.",
    )
    parser.add_argument(
        "tables",
        type=Path,
        nargs="+",
        metavar="TABLE.csv",
        help="photos (image, person, any other columns) or pairs (image_a, image_b, same; fold if any); paths are "
        "relative to the table",
    )
    parser.add_argument(
        "--within",
        default="",
        metavar="COLUMNS",
        help="compare different people within cells, such as group,sex; the cohort is drawn for each value of the "
        "first column; photos without these columns are used for pairs of one person only (default: one cell)",
    )
    parser.add_argument(
        "--pack", help="a pack's name or folder (the folder of --into, else LIKENESS_PACK, else standard)"
    )
    parser.add_argument(
        "--into", type=Path, metavar="PACK", help="write into this pack's folder or description (.toml)"
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help=DEVICE_HELP)
    parser.add_argument("--keep-scoring", action="store_true", help="fit only the curve, for the pack's current scores")
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="keep vectors here and resume from it")
    return parser


def _check_target(options: argparse.Namespace) -> None:
    """PackInvalid if the figures of --pack are not those of --into, or an installation would replace them."""
    into: Path = options.into
    if is_in_cache(into):
        raise PackInvalid(
            f"{into} is in the cache folder, where an installation replaces it; calibrate a copy: "
            f"{calibrate_command(into.resolve())}"
        )
    pack, description = read_manifest(pack_folder(options.pack)), description_of(into)
    target = parse_manifest(description.read_bytes(), described_as=str(description))
    if into.suffix == ".toml":  # its files are converted at the installation, not always to the same bytes
        same = (target.name, target.roles) == (pack.name, pack.roles)
    else:
        same = target.vector_identity == pack.vector_identity
    if options.keep_scoring:
        same = same and target.score_identity["cohort"] == pack.score_identity["cohort"]
    if not same:
        raise PackInvalid(
            f"{into} has other networks, or another input or cohort, than the pack {options.pack}, whose error rates "
            "would be written into it; name the same pack with --pack and --into"
        )


def _faces(comparer: Comparer, path: Path, within: Sequence[str], options: argparse.Namespace) -> LabelledFaces:
    table = read_either(path)
    with progress_over(len(table.photos.photos)) as advance:
        return label_faces(comparer, path, table, within, keep=options.embeddings, advance=advance)


def _command(options: argparse.Namespace) -> str:
    """The command as recorded in the pack: without the folders of the tables."""
    words = [f"{path.resolve().parent.name}/{path.name}" for path in options.tables]
    words += ["--within", options.within] if options.within else []
    words += ["--keep-scoring"] if options.keep_scoring else []
    words += ["--device", options.device] if options.device != "cpu" else []
    return " ".join(["likeness calibrate", *words, "--pack", options.pack])


def _print(sets: Sequence[LabelledFaces], outcome: Outcome) -> None:
    print_title(f"Fitted and evaluated on {'different' if outcome.cohort else 'the same'} people")
    for each in sets:
        genuine, impostor = outcome.tables[each.name].pairs
        facts = [
            (each.name, f"{counted(len(each.vectors), 'photo')}, {each.failures} without a usable face"),
            ("pairs", f"{genuine:,} of one person, {impostor:,} of two"),
        ]
        if each.name in outcome.accuracy:
            facts.append(("accuracy over folds", "{:.4f} ± {:.4f}".format(*outcome.accuracy[each.name])))
        print_facts(facts)
    rows = []
    for level in LEVELS:
        place = LEVELS.index(level)
        cells = {name: counts.false_match_rates()[place] for name, counts in outcome.cells.items()}
        missed = [
            f"{counts.false_non_match_rates()[place].value:.4f}"
            for counts in outcome.tables.values()
            if counts.pairs[0]
        ]
        promise = outcome.calibration.claim(level)
        rows.append(
            (
                f"{level:.0f}",
                promise.in_figures,
                *cells_text(cells),
                *missed,
            )
        )
    names = [f"FNMR {name}" for name, counts in outcome.tables.items() if counts.pairs[0]]
    print_table(("Similarity", "FMR promised", "mean of cells", "worst cell", *names), rows)
    for level in (80.0, 90.0):
        place = LEVELS.index(level)
        print_title(f"False match rate at {level:.0f} by cell")
        cells_rows = []
        for cell, counts in outcome.cells.items():
            rate = fmr_text(counts.false_match_rates()[place])
            cells_rows.append((cell, f"{counts.pairs[1]:,}", rate))
        print_table(("Cell", "Pairs", "FMR (95 %)"), cells_rows)
    print(FEW_NOTE)
