"""Runs a batch on this machine from its pairs to its output, or resumes it: plan, analyse, compare, write."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from likeness.batch import manifest
from likeness.batch.all_pairs import Blocks
from likeness.batch.columns import written_columns
from likeness.batch.database import remove_database
from likeness.batch.describe import BatchOptions, identity
from likeness.batch.errors import BatchError
from likeness.batch.local import LocalPhotos, one_ahead
from likeness.batch.outputs import check_format, encode_lines, read_shard, write_output
from likeness.batch.photos import Reads
from likeness.batch.plan import Plan
from likeness.batch.progress import Count, Progress
from likeness.batch.records import Record, marks, records_of
from likeness.batch.rows import AllPairsInput, Row, Rows
from likeness.batch.run_all_pairs import Wanted, search
from likeness.batch.shards import Shards
from likeness.batch.storage import FolderStorage
from likeness.batch.store import FaceStore
from likeness.comparer import Comparer
from likeness.system.atomic_file import remove_parts
from likeness.system.locking import one_at_a_time

#: The pairs in a shard, the most that are repeated after a kill: 8,192 are compared in 0.1 s.
ROWS_A_SHARD = 8192
PLAN = "plan.sqlite"
_FACES, _MANIFEST = "faces.sqlite", "manifest.json"


@dataclass(frozen=True, slots=True)
class Job:
    """The input, output and options of a batch.

    `store` is the folder of the face store, by default that of the run; it is removed at the end unless `keep_store`,
    and its descriptions take at most `store_bytes`. With `fail_fast` the first pair that cannot be compared ends the
    run. `retry_errors` retries pairs that could not be compared before.
    """

    pairs: Rows | AllPairsInput
    output: Path
    options: BatchOptions = field(default_factory=BatchOptions)
    full: bool = False
    store: str | None = None
    store_bytes: int | None = None
    keep_store: bool = False
    fail_fast: bool = False
    retry_errors: bool = False
    rows_a_shard: int = ROWS_A_SHARD

    @property
    def folder(self) -> Path:
        """The folder of the run, next to the output."""
        return self.output.with_name(f"{self.output.name}.run")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The numbers of rows, of failed ones and of distinct photos of a run; and whether it was finished before."""

    pairs: int
    failed: int
    photos: int
    was_finished: bool = False


FINISHED_BEFORE = Outcome(0, 0, 0, was_finished=True)


def run(job: Job, comparer: Comparer, read: Reads, progress: Progress) -> Outcome:
    """Runs a job, or resumes an interrupted one. Raises BatchError."""
    with open_run(job, comparer) as here:
        if here is None:
            return FINISHED_BEFORE
        faces = Path(job.store or here.folder) / _FACES
        with (
            Plan.open(here.folder / PLAN) as plan,
            FaceStore.open(faces, identity(comparer, job.options), job.store_bytes) as store,
        ):
            if job.retry_errors:
                here.drop_failed()
                store.forget_failures()
                plan.forget_contents()
            pairs = here.plan(plan, job.pairs)
            photos, read_before = plan.counts()
            with LocalPhotos(comparer, read, job.options, plan, store, progress) as described:
                if isinstance(job.pairs, AllPairsInput):
                    blocks = Blocks(FolderStorage(here.folder), photos, marks(comparer))
                    done = pairs - sum(map(blocks.pairs, blocks.missing("candidates")))
                    progress.begin(Count(photos, read_before, read_before), Count(pairs, done, done))
                    wanted = Wanted(job.options.similarity_threshold, job.pairs.top, job.fail_fast)
                    search(comparer, blocks, plan, described, wanted, progress)
                else:
                    done = here.shards.written(pairs)
                    progress.begin(Count(photos, read_before, read_before), Count(pairs, done, done))
                    _write_shards(job, job.pairs, comparer, here.shards, described, progress)
        return here.finish(job, photos, lambda: None if job.keep_store else remove_database(faces))


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that starts or resumes: its folder, locked for this process, its facts, and its shards."""

    folder: Path
    facts: dict[str, object]
    shards: Shards

    def plan(self, plan: Plan, pairs: Rows | AllPairsInput) -> int:
        """Plans the pairs, after which the run can be resumed; returns their number."""
        count = plan.make_of_photos(pairs.photos) if isinstance(pairs, AllPairsInput) else plan.make(pairs)
        manifest.write(self.folder / _MANIFEST, self.facts, finished=False)
        return count

    def drop_failed(self) -> None:
        """Removes all results of photos that cannot be used."""
        self.shards.drop_failed()
        _remove_blocks(self.folder)

    def finish(self, job: Job, photos: int, clean_up: Callable[[], None]) -> Outcome:
        """Writes the output, and removes what is no longer needed, outside the folder by `clean_up`."""
        paths = self.shards.all()
        write_output(job.output, paths, [*job.pairs.columns, *written_columns(full=job.full)])
        rows = failed = 0
        for path in paths:
            for record in read_shard(path):
                rows += 1
                failed += record["error"] is not None
        # Before the run is marked as finished: after a kill in between, faces would remain forever.
        _remove_blocks(self.folder)
        clean_up()
        manifest.write(self.folder / _MANIFEST, self.facts, finished=True)
        if not failed:  # otherwise they are needed for retries
            shutil.rmtree(self.shards.folder, ignore_errors=True)
            remove_database(self.folder / PLAN)
        return Outcome(rows, failed, photos)


@contextmanager
def open_run(job: Job, comparer: Comparer) -> Iterator[OpenRun | None]:
    """The run of a job, ready to start or resume; None if it is already finished. Raises BatchError."""
    check_format(job.output, full=job.full)
    with _folder_of(job) as folder:
        facts = _facts_of(job, comparer)
        state = manifest.state(folder / _MANIFEST, job.output, facts)
        shards = Shards(folder / "shards", job.rows_a_shard)
        if state == "finished" and not (job.retry_errors and shards.all()):
            yield None
            return
        remove_parts(folder)
        if state == "new":  # left by a run that ended before it had read all pairs
            remove_database(folder / PLAN)
        shards.folder.mkdir(mode=0o700, exist_ok=True)
        remove_parts(shards.folder)
        yield OpenRun(folder, facts, shards)


def _facts_of(job: Job, comparer: Comparer) -> dict[str, object]:
    """Everything on which the output depends, for the manifest."""
    calibration = hashlib.sha256(repr(asdict(comparer.calibration)).encode()).hexdigest()[:24]
    options = job.options
    return {
        "pairs": job.pairs.fingerprint,
        "pack": comparer.pack_identity,
        "calibration": calibration,
        "similarity threshold": options.similarity_threshold,
        "quality filter": options.quality_filter,
        "face": options.prefer,
        "settings": asdict(options.settings),
        "whole answers": job.full,
        "pairs in a shard": job.rows_a_shard,
    }


def _write_shards(
    job: Job, pairs: Rows, comparer: Comparer, shards: Shards, described: LocalPhotos, progress: Progress
) -> None:
    """Writes the missing shards; while one is compared, the photos of the next are analysed."""
    for number, rows in one_ahead(shards.missing(pairs), lambda upcoming: described.begin(_references(upcoming[1]))):
        with shards.writing(number) as file:
            for some, photos in described.portions(rows):
                records = records_of(comparer, some, photos, threshold=job.options.similarity_threshold, full=job.full)
                if job.fail_fast:
                    _check_none_failed(records)
                file.write(encode_lines(records))
        described.keep()
        progress.pairs(len(rows))


def _references(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        yield row.source
        yield row.target


def _check_none_failed(records: Sequence[Record]) -> None:
    for record in records:
        if record["error"] is not None:
            raise BatchError(f"{record['reason']} ({record['error']}); the batch ends here, as --fail-fast asks")


def _remove_blocks(folder: Path) -> None:
    for made in ("vectors", "candidates"):
        shutil.rmtree(folder / made, ignore_errors=True)


@contextmanager
def _folder_of(job: Job) -> Iterator[Path]:
    """The folder of the run, locked for this process."""
    job.folder.mkdir(mode=0o700, exist_ok=True)

    def waiting() -> None:
        raise BatchError(f"another process works on {job.output}; wait for it, or choose another output")

    with one_at_a_time(job.folder / "lock", waiting=waiting, mode=0o600):
        yield job.folder
