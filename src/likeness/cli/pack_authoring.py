"""`likeness packs new | check | compare`: a pack of one's own."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.calibrated import calibrate_command
from likeness.cli.exit_codes import OTHER_ERROR
from likeness.cli.installation import progress_for_people
from likeness.cli.streams import say
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.packs.loaded import pack_folder

if TYPE_CHECKING:
    from likeness.authoring.portraits import Portrait
    from likeness.authoring.trials import FoundEmbedder, Tried

_PEOPLE = "photos to try on, a table with the columns image and person (default: the sample portraits)"


def add_commands(commands: Any) -> None:
    """Adds the subcommands to those of `likeness packs`."""
    new = commands.add_parser(
        "new",
        help="make a pack of your own networks",
        description="Reads two networks, recognises their families, finds by trial on portraits how they are fed, and "
        "writes a pack.",
    )
    new.add_argument("folder", type=Path, metavar="FOLDER", help="where to write the pack")
    new.add_argument("--detector", type=Path, required=True, metavar="D.onnx", help="YuNet, SCRFD or CenterFace")
    new.add_argument("--embedder", type=Path, required=True, metavar="E.onnx", help="a network from chips to vectors")
    new.add_argument("--license", default="", metavar="TEXT", help="the licence of the networks, for the manifest")
    new.add_argument("--people", type=Path, metavar="PEOPLE.csv", help=_PEOPLE)
    new.add_argument(
        "--template",
        default="",
        metavar="NAME",
        help="where the embedder expects the five points, if that is known: arcface, arcface-in-128, retail",
    )
    new.set_defaults(run=_new)
    check = commands.add_parser("check", help="explain what is wrong with a pack")
    check.add_argument("folder", metavar="FOLDER", help="a pack's folder or name")
    check.add_argument("--people", type=Path, metavar="PEOPLE.csv", help=_PEOPLE)
    check.set_defaults(run=_check)
    compare = commands.add_parser(
        "compare",
        help="compare two packs on your people",
        description="Error rates by cell, speed, size and memory of packs on the same photos, as a table and a page.",
    )
    compare.add_argument("packs", nargs=2, metavar="PACK", help="names or folders of calibrated packs")
    compare.add_argument(
        "--people", type=Path, required=True, metavar="PEOPLE.csv", help="photos: image, person, any other columns"
    )
    compare.add_argument("--within", default="", metavar="COLUMNS", help="cells, such as group,sex (default: one cell)")
    compare.add_argument("--report", type=Path, metavar="FILE.html", help="write a page")
    compare.set_defaults(run=_compare)


def _portraits(options: argparse.Namespace) -> "list[Portrait]":
    # Imported here and below: the other commands need no evaluation.
    from likeness.authoring.portraits import portraits_of, sample_portraits

    if options.people:
        return portraits_of(options.people)
    with progress_for_people() as progress:
        return sample_portraits(progress)


def _new(options: argparse.Namespace) -> int:
    from likeness.authoring.new_pack import Networks, make_pack

    networks = Networks(options.detector, options.embedder, options.license, options.template)
    made = make_pack(options.folder, networks, _portraits(options))
    print_facts(
        [
            ("pack", str(made.folder)),
            ("detector", f"{made.detector.role.family}: {made.detector_graph}"),
            ("embedder", made.embedder_graph),
            ("faces found", f"{made.faces} of {made.portraits} portraits"),
            ("lengths", _lengths(made.embedder)),
        ]
    )
    _print_tried("How the detector is fed: the mean score of the portraits' faces", made.detector.tried, "{:.3f}")
    _print_tried(
        "How the embedder is fed: how well it distinguishes people (distance of cosines in standard deviations)",
        made.embedder.tried,
        "{:.2f}",
    )
    for doubt in made.embedder.doubts:
        say(f"likeness: {doubt}")
    print(f"\nnot calibrated; next: {calibrate_command(options.folder)}")
    return 0


def _lengths(found: "FoundEmbedder") -> str:
    """The meaning of the vectors' lengths as found, with its figure."""
    compared = f"vectors of degraded faces are {abs(found.shorter):.1%} {'shorter' if found.shorter > 0 else 'longer'}"
    if found.parameters["lengths"] == "certainty":
        return f"certainty: {compared}, so a vector's length tells how certain the network is"
    return f"agreement: {compared}, so vectors are normalised before they are averaged"


def _print_tried(title: str, tried: "tuple[Tried, ...]", figure: str) -> None:
    print_title(title)
    rows = [
        ("chosen" if not place else "", each.choice, figure.format(each.figure)) for place, each in enumerate(tried)
    ]
    print_table(("", "Choice", "Figure"), rows)


def _check(options: argparse.Namespace) -> int:
    from likeness.authoring.check import PackCheck
    from likeness.packs.manifest import read_manifest

    folder = pack_folder(options.folder)
    check = PackCheck(folder, _portraits(options))
    faults = check.faults()
    for fault in faults:
        say(f"likeness: {fault if fault.startswith(str(folder)) else f'{folder}: {fault}'}")
    if faults:
        return OTHER_ERROR
    if check.separation:
        genuine, impostor = check.separation.genuine, check.separation.impostor
        print(f"nothing wrong: pairs of one person have a cosine of {genuine:.2f}, of two {impostor:.2f}")
    if read_manifest(folder).calibration is None:
        print(f"not calibrated; next: {calibrate_command(folder)}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from likeness.authoring.comparison import (
        People,
        check_comparable,
        cost_rows,
        measure_packs,
        rate_rows,
        rates_head,
        write_comparison,
    )
    from likeness.cli.evaluate import progress_over
    from likeness.evaluation.report import FEW_NOTE
    from likeness.system.atomic_file import check_not_input, check_writable

    check_comparable(options.packs)
    people = People.read(options.people, [name for name in options.within.split(",") if name])
    if options.report:
        check_writable(options.report)
        check_not_input(options.report, [options.people, *people.photos])
    with progress_over(2 * len(people.photos)) as advance:
        try:
            measured = measure_packs(options.packs, people, advance=advance)
        except ValueError as error:
            say(f"likeness: {options.people}: {error}")
            return OTHER_ERROR
    print_title("Error rates by cell")
    print_table(rates_head(measured), rate_rows(measured))
    print(FEW_NOTE)
    print_title("Cost")
    print_table(("", *(each.name for each in measured)), cost_rows(measured))
    if options.report:
        write_comparison(measured, options.report, options.people)
        print(f"\nreport: {options.report}")
    return 0
