"""`likeness packs new | check`: a pack of one's own."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.installation import progress_for_people
from likeness.cli.main import OTHER_ERROR
from likeness.cli.streams import say
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.packs.loaded import pack_folder

if TYPE_CHECKING:
    from likeness.authoring.portraits import Portrait
    from likeness.authoring.trials import Tried

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
    new.add_argument("--licence", default="", metavar="TEXT", help="the licence of the networks, for the manifest")
    new.add_argument("--people", type=Path, metavar="PEOPLE.csv", help=_PEOPLE)
    new.set_defaults(run=_new)
    check = commands.add_parser("check", help="say in words what is wrong with a pack")
    check.add_argument("folder", metavar="FOLDER", help="a pack's folder or name")
    check.add_argument("--people", type=Path, metavar="PEOPLE.csv", help=_PEOPLE)
    check.set_defaults(run=_check)


def _portraits(options: argparse.Namespace) -> "list[Portrait]":
    # Imported here and below: the other commands need no evaluation.
    from likeness.authoring.portraits import portraits_of, sample_portraits

    if options.people:
        return portraits_of(options.people)
    with progress_for_people() as progress:
        return sample_portraits(progress)


def _new(options: argparse.Namespace) -> int:
    from likeness.authoring.new_pack import Networks, make_pack

    networks = Networks(options.detector, options.embedder, options.licence)
    made = make_pack(options.folder, networks, _portraits(options))
    print_facts(
        [
            ("pack", str(made.folder)),
            ("detector", f"{made.detector.role.family}: {made.detector_graph}"),
            ("embedder", made.embedder_graph),
            ("faces found", f"{made.faces} of {made.portraits} portraits"),
        ]
    )
    _print_tried("How the detector is fed: the mean score of the portraits' faces", made.detector.tried, "{:.3f}")
    _print_tried(
        "How the embedder is fed: how well people are told apart (distance of cosines in standard deviations)",
        made.embedder.tried,
        "{:.2f}",
    )
    folder = options.folder
    print(f"\nnot calibrated; next: likeness calibrate PEOPLE.csv --pack {folder} --into {folder}")
    return 0


def _print_tried(title: str, tried: "tuple[Tried, ...]", figure: str) -> None:
    print_title(title)
    rows = [
        ("chosen" if not place else "", each.choice, figure.format(each.figure)) for place, each in enumerate(tried)
    ]
    print_table(("", "Choice", "Figure"), rows)


def _check(options: argparse.Namespace) -> int:
    from likeness.authoring.check import PackFindings
    from likeness.packs.manifest import read_manifest

    folder = pack_folder(options.folder)
    findings = PackFindings(folder, _portraits(options))
    faults = findings.faults()
    for fault in faults:
        say(f"likeness: {folder}: {fault}")
    if faults:
        return OTHER_ERROR
    if findings.told:
        told = findings.told
        print(f"nothing wrong: pairs of one person have a cosine of {told.genuine:.2f}, of two {told.impostor:.2f}")
    if read_manifest(folder).calibration is None:
        print(f"not calibrated; next: likeness calibrate PEOPLE.csv --pack {folder} --into {folder}")
    return 0
