"""Two packs on the same people: error rates by cell, speed, size and memory, side by side."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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

#: Photos that are analysed for the speed, each once after one that warms up.
TIMED_PHOTOS = 30


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPack:
    """One pack as measured: rates by cell, the median time of a photo on one thread, the bytes of its files, and the
    memory that a process with it needs for these photos.
    """

    name: str
    described: str
    rates: CellEvaluation
    seconds_a_photo: float
    file_bytes: int
    memory_bytes: int


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


def measure_pack(pack: str, people: People, *, advance: Callable[[], None] = lambda: None) -> MeasuredPack:
    """Measures a pack. Raises PackError, also for one without a calibration."""
    folder = pack_folder(pack)
    manifest = read_manifest(folder)
    with Comparer(pack) as comparer:
        embeddings = embed_photos(comparer, people.photos, advance=advance)
        cells = cells_to_compare(people.table, embeddings, people.within)
        rates = evaluate_cells(CalibratedScorer(comparer.scorer, comparer.calibration), people.table, embeddings, cells)
        described = comparer.pack_identity
    timed = [photo for photo in people.photos if str(photo) not in rates.failures][:TIMED_PHOTOS]
    seconds, memory = _in_a_process(str(folder), timed)
    size = sum((folder / name).stat().st_size for name in manifest.files)
    return MeasuredPack(manifest.name, described, rates, seconds, size, memory)


def _in_a_process(pack: str, photos: Sequence[Path]) -> tuple[float, int]:
    """The median seconds of a photo on one thread, and the peak memory, of a process of its own."""
    command = [sys.executable, "-m", "likeness.authoring.comparison", pack, *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackError(f"{pack} cannot be timed: {(done.stderr.splitlines() or ['no reason given'])[-1]}")
    measured = json.loads(done.stdout)
    return float(measured["seconds"]), int(measured["bytes"])


def time_photos(pack: str, photos: Sequence[str]) -> dict[str, float]:
    """The median seconds of the analyses of photos on one thread, and the peak memory of this process in bytes."""
    import resource

    seconds = []
    with Comparer(pack, threads=1) as comparer:
        comparer.warm_up()
        for photo in (photos[0], *photos):
            begun = time.perf_counter()
            comparer.analyse(photo)
            seconds.append(time.perf_counter() - begun)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": statistics.median(seconds[1:]),
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    }


def cost_rows(packs: Sequence[MeasuredPack]) -> list[tuple[str, ...]]:
    """Speed, size and memory."""
    return [
        ("time of a photo on one thread", *(f"{each.seconds_a_photo * 1000:.0f} ms" for each in packs)),
        ("size of the files", *(f"{each.file_bytes / 1e6:.1f} MB" for each in packs)),
        ("memory of the process", *(f"{each.memory_bytes / 1e6:.0f} MB" for each in packs)),
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
    print(json.dumps(time_photos(sys.argv[1], sys.argv[2:])))  # noqa: T201 - read by _in_a_process
