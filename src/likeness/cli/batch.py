"""`likeness batch`: many pairs of photos, from a table, from folders or from buckets."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from likeness.cli.connection import chosen_pack, server_stores
from likeness.cli.exit_codes import INTERRUPTED, USAGE_ERROR
from likeness.cli.streams import say
from likeness.cli.tool_arguments import DEVICE_HELP, ToolParser
from likeness.counted import counted
from likeness.faces import QUALITY_FILTERS
from likeness.runtime.devices import DEVICES

if TYPE_CHECKING:
    from likeness.batch.photos import Reads
    from likeness.batch.progress import Progress
    from likeness.batch.rows import AllPairsInput, Rows
    from likeness.batch.run import Job, Outcome
    from likeness.comparer import Comparer
    from likeness.sources.store import StoreSettings
    from likeness.sources.stores import Stores

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: The largest number that SQLite can count up to.
_MOST = 2**63 - 1
_COLUMNS, _TOP = ("source", "target"), 10
#: Options that mean something with another one alone: its attribute, and how it is called.
_ONLY_WITH = {
    "columns": ("pairs", "a table"),
    "images": ("pairs", "a table"),
    "match": ("targets", "--sources and --targets"),
    "top": ("all_pairs", "--all-pairs"),
    **dict.fromkeys(("address", "actors", "shared"), ("engine", "--engine ray")),
}


def main(arguments: Sequence[str]) -> int:
    """Runs `likeness batch` with `arguments` and returns the exit code."""
    try:
        given = _parser().parse_args(arguments)
        _check(given)
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        return _run(given)
    except KeyboardInterrupt:
        say("likeness: interrupted; the same command resumes the batch")
        return INTERRUPTED


def _run(given: argparse.Namespace) -> int:
    from likeness.batch.photos import PhotoReader
    from likeness.batch.progress import on_standard_error
    from likeness.batch.run import run
    from likeness.comparer import Comparer
    from likeness.sources.store import StoreSettings
    from likeness.sources.stores import Stores

    _check_images(given)
    _check_review(given)
    of_server = server_stores()
    stores = (StoreSettings(),) if of_server is None else of_server  # by default S3 as this user
    objects = Stores(stores)
    job = _job(given, _pairs(given, objects))
    reader = PhotoReader(given.images or _folder_of(given), objects, job.options.settings.max_bytes)
    comparer = Comparer(given.pack, settings=job.options.settings, threads=_threads(given))
    with comparer:
        with on_standard_error(say) as progress:
            if given.engine == "ray":
                outcome = _on_cluster(given, job, comparer, stores, progress)
            else:
                outcome = run(job, comparer, reader, progress)
        _after(given, job, comparer, reader)
    if outcome.was_finished:
        say(f"{given.output} is already finished; remove it and {job.folder} to run again")
        return 0
    say(
        f"{given.output}: {counted(outcome.pairs, 'pair')} of {counted(outcome.photos, 'photo')}, "
        f"{outcome.failed:,} with errors" + ("; --retry-errors retries them" if outcome.failed else "")
    )
    if given.keep_store:
        name = "kept" if given.engine == "ray" else "faces.sqlite"
        place = f"{job.store or given.shared or job.folder}/{name}"
        say(f"{place} contains face embeddings, which are biometric data; remove it when done")
    return 0


def _on_cluster(
    given: argparse.Namespace,
    job: "Job",
    comparer: "Comparer",
    stores: "tuple[StoreSettings, ...]",
    progress: "Progress",
) -> "Outcome":
    from likeness.batch.cluster.engine import Cluster
    from likeness.batch.cluster.run import Place, run_on_cluster

    place = Place(given.images or _folder_of(given), given.shared, stores)
    return run_on_cluster(job, comparer, place, Cluster(given.address, given.actors), progress)


def _check_images(given: argparse.Namespace) -> None:
    """Raises BatchError if the folder of photos is missing; nodes of a cluster may have one that is not here."""
    from likeness.batch.errors import BatchError

    if given.images and given.engine == "local" and not given.images.is_dir():
        raise BatchError(f"--images {given.images}: no such folder")


def _check_review(given: argparse.Namespace) -> None:
    """Raises BatchError for decisions and reports that would fail after the run."""
    if given.decisions:
        from likeness.batch.review.decisions import read_decisions

        read_decisions(given.decisions)
    if given.report:
        from likeness.batch.review.report import check_report
        from likeness.system.atomic_file import check_not_input

        check_report(given.report)
        check_not_input(given.report, map(Path, filter(None, (given.pairs, given.source, given.decisions))))


def _after(given: argparse.Namespace, job: "Job", comparer: "Comparer", reader: "Reads") -> None:
    """Writes reviewers' decisions into the output, and the pages for reviewers."""
    columns = given.columns or _COLUMNS
    if given.decisions:
        from likeness.batch.review.decisions import apply

        say(f"{given.output}: {counted(apply(given.decisions, given.output, columns), 'pair')} decided")
    if given.report:
        from likeness.batch.review.collect import closest, reviewed
        from likeness.batch.review.report import About, write_report

        threshold = job.options.similarity_threshold
        doubtful = closest(given.output, columns, threshold, given.report_pairs)
        pairs = reviewed(doubtful.rows, comparer, reader, job.options, one_face=given.all_pairs is not None)
        title = f"Review of {given.output.name}"
        about = About(title, comparer.pack_identity, threshold, comparer.calibration, doubtful.pairs)
        pages = write_report(given.report, pairs, len(doubtful.rows), about)
        contents = ", which contain faces" if doubtful.rows else "; no pair could be compared"
        say(f"{pages[0]}: {counted(len(doubtful.rows), 'pair')} on {counted(len(pages), 'page')}{contents}")


def _job(given: argparse.Namespace, pairs: "Rows | AllPairsInput") -> "Job":
    from likeness.batch.describe import BatchOptions
    from likeness.batch.run import Job
    from likeness.comparer import ComparerSettings

    settings = ComparerSettings(
        face_attributes=given.attributes,
        target_without_faces=given.target_without_faces,
        uncalibrated=given.uncalibrated,
        device=given.device,
    )
    options = BatchOptions(given.similarity_threshold, given.quality_filter, given.face, given.pack, settings)
    return Job(
        pairs,
        given.output,
        options,
        full=given.full,
        store=given.store,
        store_bytes=given.store_size,
        keep_store=given.keep_store,
        fail_fast=given.fail_fast,
        retry_errors=given.retry_errors,
    )


def _check(given: argparse.Namespace) -> None:
    """Exits unless pairs are given in exactly one way and every option has an effect."""
    ways = [given.pairs is not None, given.sources is not None or given.source is not None, given.all_pairs is not None]
    if sum(ways) != 1:
        _refuse("give pairs as a table, or --sources and --targets, or --source and --targets, or --all-pairs")
    if ways[1] != (given.targets is not None) or (given.sources is not None and given.source is not None):
        _refuse("--targets goes with one of --sources and --source")
    for name, (needed, what) in _ONLY_WITH.items():
        if getattr(given, name) not in (None, False) and getattr(given, needed) in (None, "local"):
            _refuse(f"--{name.replace('_', '-')} goes with {what}")
    if given.all_pairs is not None and given.full:
        _refuse("--full goes with pairs; --all-pairs has a similarity for each two photos and no answer")
    if given.engine == "ray" and given.memory is not None:
        _refuse("--memory is for --engine local; each actor of Ray has a fixed share, so give --actors")


def _pairs(given: argparse.Namespace, objects: "Stores") -> "Rows | AllPairsInput":
    """The pairs that the arguments ask for."""
    from likeness.batch.listing import Listing
    from likeness.batch.rows import AllPairsInput, FolderRows, TableRows

    if given.pairs is not None:
        return TableRows(given.pairs, *(given.columns or _COLUMNS))
    if given.all_pairs is not None:
        return AllPairsInput(Listing(given.all_pairs, objects), given.top or _TOP)
    sources = Listing(given.sources or given.source, objects)
    return FolderRows(sources, Listing(given.targets, objects), match_names=given.match == "name")


def _refuse(message: str) -> NoReturn:
    say(f"likeness batch: {message}; see `likeness batch --help`")
    raise SystemExit(USAGE_ERROR)


def _folder_of(given: argparse.Namespace) -> Path:
    """The folder to which paths are relative: that of a table, otherwise the current one."""
    return given.pairs.parent if given.pairs is not None else Path()


def _threads(given: argparse.Namespace) -> int:
    from likeness.batch.memory import threads_within

    return threads_within(given.memory)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness batch",
        description="Compares many pairs of photos, each photo analysed once. The same command resumes a killed run.",
    )
    add = parser.add_argument
    add("pairs", type=Path, nargs="?", metavar="PAIRS", help="a .csv, .jsonl or .parquet file with source and target")
    add("--output", type=Path, required=True, metavar="OUT", help="the .jsonl, .csv or .parquet file to write")
    add("--columns", type=_two, metavar="A,B", help="the columns of photos (source,target)")
    add("--images", type=Path, metavar="DIR", help="folder of relative paths in PAIRS (default: its own)")
    add("--sources", metavar="DIR", help="a folder of source photos; DIR may be s3://bucket/prefix/")
    add("--source", metavar="PHOTO", help="one source photo")
    add("--targets", metavar="DIR", help="a folder of target photos")
    add("--match", choices=["name"], help="only targets with the source's name: anna.jpg with anna.png and anna/1.jpg")
    add("--all-pairs", metavar="DIR", help="all pairs of photos in a folder; keep the most similar")
    add("--top", type=_count, metavar="K", help="with --all-pairs: the K most similar per photo (10)")
    add("--full", action="store_true", help="write complete answers")
    add("--similarity-threshold", type=_threshold, default=80.0, metavar="N", help="least similarity of a match (80)")
    add("--quality-filter", choices=QUALITY_FILTERS, default="NONE", help="exclude faces that fail it")
    add("--face", choices=["largest", "central"], default="largest", help="which face of a source photo to compare")
    add("--attributes", choices=["all", "default"], default="default", help="all: also emotions and smile")
    add("--target-without-faces", choices=["error", "empty"], default="error", help="such pairs are errors or empty")
    add("--report", type=Path, metavar="FILE.html", help="write pages for a reviewer: doubtful pairs and their faces")
    add("--report-pairs", type=_count, default=5000, metavar="N", help="the most pairs on these pages (5000)")
    add("--decisions", type=Path, metavar="FILE.csv", help="write a reviewer's decisions from these pages into OUT")
    add("--pack", default=chosen_pack(None), help="a pack's name or folder (LIKENESS_PACK, else standard)")
    add("--uncalibrated", action="store_true", help="let a pack without a calibration answer; each line is marked")
    add("--device", choices=DEVICES, default="cpu", help=DEVICE_HELP)
    add("--store", metavar="DIR", help="where to store faces during the run (OUT.run; with --engine ray: --shared)")
    add("--store-size", type=_size, metavar="SIZE", help="the most disk space for them, such as 2G")
    add("--keep-store", action="store_true", help="keep them for the next run; they are biometric data")
    add("--memory", type=_size, metavar="SIZE", help="the memory to stay within, such as 2G")
    add("--engine", choices=["local", "ray"], default="local", help="this machine (default), or a Ray cluster")
    add("--address", metavar="HOST:PORT", help="with --engine ray: the cluster (RAY_ADDRESS, else a new one here)")
    add("--actors", type=_count, metavar="N", help="with --engine ray: actors that analyse photos (one per processor)")
    add("--shared", metavar="PLACE", help="with --engine ray: a folder or s3:// URL for all nodes (OUT.run)")
    add("--fail-fast", action="store_true", help="stop at the first photo that cannot be used")
    add("--retry-errors", action="store_true", help="retry the pairs that could not be compared")
    return parser


def _two(text: str) -> tuple[str, str]:
    names = text.split(",")
    if len(names) != 2 or not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not two names separated by a comma")
    return names[0], names[1]


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST:,}")
    return int(text)


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 100.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100")
    return value


def _size(text: str) -> int:
    """The bytes of a size such as 500M, 2G or 1.5G."""
    number, unit = text.rstrip("KMGTkmgt"), text[len(text.rstrip("KMGTkmgt")) :].upper()
    try:
        size = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = -1
    if size < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 500M or 2G")
    return size
