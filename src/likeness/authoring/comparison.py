"""Two packs on the same people: error rates by cell, speed, size and memory, side by side."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from likeness.calibrated import check_calibrated
from likeness.comparer import Comparer
from likeness.errors import PackError
from likeness.evaluation.by_cell import (
    LEAST_GENUINE,
    CalibratedScorer,
    CellEvaluation,
    cells_to_compare,
    evaluate_cells,
)
from likeness.evaluation.embeddings import embed_photos
from likeness.evaluation.measure import SIMILARITIES
from likeness.evaluation.photo_table import PhotoTable, read_photo_table
from likeness.evaluation.report import FEW_NOTE, cells_text, fmr_text, fnmr_text, html_table, write_page
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import read_manifest

#: Photos that are analysed for the speed, in each of so many rounds; the packs take turns, round by round.
TIMED_PHOTOS, ROUNDS = 10, 5


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPack:
    """One pack as measured: rates by cell, the bytes of its files, and what its process needed."""

    name: str
    described: str
    rates: CellEvaluation
    file_bytes: int
    cost: "Cost"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process with a pack needed: the processor time of a photo on one thread, the median of each round, and the
    peak memory.
    """

    seconds_a_photo: Sequence[float]
    memory_bytes: int

    @property
    def time_text(self) -> str:
        """The times of the fastest round, which others disturbed least, and of the slowest."""
        fastest, slowest = (1000 * bound(self.seconds_a_photo) for bound in (min, max))
        return f"{fastest:.1f} to {slowest:.1f} ms"


@dataclass(frozen=True, slots=True)
class People:
    """A table of photos, relative to its folder, and the columns that make the cells."""

    path: Path
    table: PhotoTable
    within: Sequence[str]

    @classmethod
    def read(cls, path: Path, within: Sequence[str]) -> "People":
        """Reads the table. Raises PhotoTableError."""
        table = read_photo_table(path)
        table.cells(within)
        return cls(path, table, within)

    @property
    def photos(self) -> list[Path]:
        return [self.path.parent / name for name in self.table.photos]


def check_comparable(packs: Sequence[str]) -> None:
    """PackError for a pack that cannot be had, or has no calibration: its Similarities cannot be compared."""
    for pack in packs:
        check_calibrated(read_manifest(pack_folder(pack)))


def measure_packs(
    packs: Sequence[str], people: People, *, advance: Callable[[], None] = lambda: None
) -> list[MeasuredPack]:
    """Measures packs; those of one name are named as in `packs`.

    Raises PackError, also for a pack without a calibration.
    """
    rates = [_rates_of(pack, people, advance) for pack in packs]
    failures = {photo for each, _ in rates for photo in each.failures}
    timed = [str(photo) for photo in people.photos if str(photo) not in failures][:TIMED_PHOTOS]
    folders = [pack_folder(pack) for pack in packs]
    costs = time_packs(list(map(str, folders)), timed)
    names = [read_manifest(folder).name for folder in folders]
    if len(set(names)) < len(names):
        names = list(packs)
    return [
        MeasuredPack(name, described, measured, _file_bytes(folder), cost)
        for name, folder, (measured, described), cost in zip(names, folders, rates, costs, strict=True)
    ]


def _file_bytes(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in read_manifest(folder).files)


def _rates_of(pack: str, people: People, advance: Callable[[], None]) -> tuple[CellEvaluation, str]:
    """The error rates of a pack, and its identity."""
    with Comparer(pack) as comparer:
        embeddings = embed_photos(comparer, people.photos, advance=advance)
        cells = cells_to_compare(people.table, embeddings, people.within)
        rates = evaluate_cells(CalibratedScorer(comparer.scorer, comparer.calibration), people.table, embeddings, cells)
        return rates, comparer.pack_identity


def time_packs(folders: Sequence[str], photos: Sequence[str]) -> list[Cost]:
    """What each pack needs for `photos`, in a process of its own. Raises PackError.

    The processes take turns, so that what else the machine does slows all packs alike.
    """
    with ExitStack() as running:
        processes = [running.enter_context(_timing(folder, photos)) for folder in folders]
        rounds = [
            [_round(each, folder) for each, folder in zip(processes, folders, strict=True)] for _ in range(ROUNDS)
        ]
    return [
        Cost([float(measured["seconds"]) for measured in of_pack], int(of_pack[-1]["bytes"]))
        for of_pack in zip(*rounds, strict=True)
    ]


def _timing(pack: str, photos: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A process that measures a round for each line that it reads; leaving its context ends it."""
    command = [sys.executable, "-m", "likeness.authoring.comparison", pack, *photos]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe)


def _round(process: "subprocess.Popen[bytes]", pack: str) -> dict[str, float]:
    """What the process measures in its next round."""
    to, from_, errors = process.stdin, process.stdout, process.stderr
    assert to is not None
    assert from_ is not None
    assert errors is not None
    try:
        to.write(b"\n")
        return dict(json.loads(from_.readline()))
    except (BrokenPipeError, ValueError):
        said = errors.read().decode(errors="replace").splitlines() or ["no reason given"]
        raise PackError(f"{pack} cannot be timed: {said[-1]}") from None


def measured_rounds(pack: str, photos: Sequence[str], asked: Iterable[str]) -> Iterator[dict[str, float]]:
    """For each line of `asked` the median seconds of processor time of a photo on one thread, and the peak memory of
    this process in bytes.
    """
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    with Comparer(pack, threads=1) as comparer:
        comparer.warm_up()
        for photo in photos:
            comparer.analyse(photo)
        for _ in asked:
            seconds = []
            for photo in photos:
                begun = time.thread_time()
                comparer.analyse(photo)
                seconds.append(time.thread_time() - begun)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
            yield {"seconds": statistics.median(seconds), "bytes": peak}


def cost_rows(packs: Sequence[MeasuredPack]) -> list[tuple[str, ...]]:
    """Speed, size and memory."""
    return [
        ("processor time of a photo, fastest to slowest round", *(each.cost.time_text for each in packs)),
        ("size of the files", *(f"{each.file_bytes / 1e6:.1f} MB" for each in packs)),
        ("memory of the process", *(f"{each.cost.memory_bytes / 1e6:.0f} MB" for each in packs)),
        ("photos without a usable face", *(f"{len(each.rates.failures):,}" for each in packs)),
    ]


def rate_rows(packs: Sequence[MeasuredPack]) -> list[tuple[str, ...]]:
    """Of each cell that all packs have, and of their mean: the false match and false non-match rates."""
    rows = []
    common = [name for name in packs[0].rates.cells if all(name in each.rates.cells for each in packs)]
    for place, level in enumerate(SIMILARITIES):
        for name in common:
            counts = [each.rates.cells[name] for each in packs]
            matched = [fmr_text(each.false_match_rates()[place]) for each in counts]
            missed = [
                fnmr_text(each.false_non_match_rates()[place]) if each.pairs[0] >= LEAST_GENUINE else "too few pairs"
                for each in counts
            ]
            rows.append((name, f"{level:g}", *matched, *missed))
        means = [
            cells_text({name: each.rates.cells[name].false_match_rates()[place] for name in common})[0]
            for each in packs
        ]
        if len(common) > 1:
            rows.append(("mean of cells", f"{level:g}", *means, *[""] * len(packs)))
    return rows


def write_comparison(packs: Sequence[MeasuredPack], to: Path, people: Path) -> None:
    """Writes the page to `to` atomically. Raises OSError."""
    described = f"{' and '.join(each.described for each in packs)}; {people.name}"
    write_page(to, "Likeness: packs compared", described, _body(packs))


def _body(packs: Sequence[MeasuredPack]) -> Iterator[str]:
    yield "<p>The same people under each pack. A Similarity promises the same false match rate (FMR) under both. Where "
    yield "that holds, the better pack is the one that misses fewer pairs of one person (FNMR); where it does not, "
    yield "<code>likeness calibrate</code> a pack on such people first.</p>"
    yield "<h2>Error rates by cell</h2>" + html_table(rates_head(packs), rate_rows(packs))
    yield f"<p class=note>{FEW_NOTE}</p>"
    yield "<h2>Cost</h2>" + html_table(("", *(each.name for each in packs)), cost_rows(packs))


def rates_head(packs: Sequence[MeasuredPack]) -> tuple[str, ...]:
    """The heads of the columns of `rate_rows`."""
    names = [each.name for each in packs]
    return ("Cell", "Similarity", *(f"FMR {name}" for name in names), *(f"FNMR {name}" for name in names))


if __name__ == "__main__":
    for measured in measured_rounds(sys.argv[1], sys.argv[2:], sys.stdin):
        print(json.dumps(measured), flush=True)  # noqa: T201 - read by _round
