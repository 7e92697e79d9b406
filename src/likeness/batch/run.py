"""A batch from its pairs to its output, on this machine: planned, described, compared, written; or resumed."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from likeness.batch import manifest
from likeness.batch.describe import BatchOptions, identity
from likeness.batch.errors import BatchError
from likeness.batch.local import LocalPhotos
from likeness.batch.outputs import check_format, encode_lines, write_output
from likeness.batch.photos import Reads
from likeness.batch.plan import Plan
from likeness.batch.progress import Count, Progress
from likeness.batch.records import Record, records_of
from likeness.batch.rows import EveryTwo, Row, Rows
from likeness.batch.run_all_pairs import Wanted, search
from likeness.batch.shards import Shards
from likeness.batch.store import FaceStore
from likeness.comparer import Comparer
from likeness.locking import one_at_a_time
from likeness.whole_file import remove_parts

#: Pairs in a shard: 8,192 are compared in a tenth of a second, and at most so many are done again after a kill.
ROWS_A_SHARD = 8192
_FACES, _PLAN = "faces.sqlite", "plan.sqlite"


@dataclass(frozen=True, slots=True)
class Job:
    """What a batch does, and where.

    `store` is the folder of the face store, by default that of the run; it goes when the run ends unless `keep_store`,
    and its descriptions take `store_bytes` at most. With `fail_fast` the first pair that cannot be compared ends the
    run. `retry_errors` tries those again that could not be compared before.
    """

    pairs: Rows
    output: Path
    options: BatchOptions = field(default_factory=BatchOptions)
    full: bool = False
    store: Path | None = None
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
    """What a run came to: rows, those without a comparison, distinct photos; whether it was done before."""

    pairs: int
    failed: int
    photos: int
    was_finished: bool = False


def run(job: Job, comparer: Comparer, read: Reads, progress: Progress) -> Outcome:
    """Runs a job, or resumes an interrupted one. Raises BatchError."""
    check_format(job.output, full=job.full)
    with folder_of(job) as folder:
        facts = facts_of(job, comparer)
        state = manifest.state(folder / "manifest.json", job.output, facts)
        shards = Shards(folder / "shards", job.rows_a_shard)
        if state == "finished" and not (job.retry_errors and shards.all()):
            return Outcome(0, 0, 0, was_finished=True)
        remove_parts(folder)
        if state == "new":  # what is there is of a run that ended before its pairs were read to the end
            remove_store(folder / _PLAN)
        shards.folder.mkdir(mode=0o700, exist_ok=True)
        remove_parts(shards.folder)
        with (
            Plan.open(folder / _PLAN) as plan,
            FaceStore.open((job.store or folder) / _FACES, identity(comparer, job.options), job.store_bytes) as store,
        ):
            if job.retry_errors and shards.drop_failed():
                store.forget_failures()
                plan.forget_contents()
            pairs = plan.make_of_photos(job.pairs.photos) if isinstance(job.pairs, EveryTwo) else plan.make(job.pairs)
            manifest.write(folder / "manifest.json", facts, finished=False)
            photos, read_before = plan.counts()
            written = shards.written(pairs)
            progress.begin(Count(photos, read_before, read_before), Count(pairs, written, written))
            with LocalPhotos(comparer, read, job.options, plan, store, progress) as described:
                if isinstance(job.pairs, EveryTwo):
                    _search(job, job.pairs, comparer, shards, described, progress)
                else:
                    _write_shards(job, comparer, shards, described, progress)
        return finish(job, facts, shards, Outcome(pairs, 0, photos))


def facts_of(job: Job, comparer: Comparer) -> dict[str, object]:
    """All that changes what is written, for the manifest."""
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


def _write_shards(job: Job, comparer: Comparer, shards: Shards, described: LocalPhotos, progress: Progress) -> None:
    """Writes what is missing; while one shard is compared, the photos of the next are described."""
    for number, rows in _one_ahead(shards.missing(job.pairs), described):
        with shards.writing(number) as file:
            for some, photos in described.portions(rows):
                records = records_of(comparer, some, photos, threshold=job.options.similarity_threshold, full=job.full)
                if job.fail_fast:
                    _check_none_failed(records)
                file.write(encode_lines(records))
        described.keep()
        progress.pairs(len(rows))


def _search(
    job: Job, pairs: EveryTwo, comparer: Comparer, shards: Shards, described: LocalPhotos, progress: Progress
) -> None:
    """Writes the pairs of every two photos that are alike, as the one shard that the output is made of."""
    if not shards.path(0).exists():
        wanted = Wanted(job.options.similarity_threshold, pairs.top, job.fail_fast)
        search(comparer, pairs.photos, described, shards.folder, wanted, progress)


def _one_ahead(
    shards: Iterator[tuple[int, Sequence[Row]]], described: LocalPhotos
) -> Iterator[tuple[int, Sequence[Row]]]:
    current = next(shards, None)
    if current is not None:
        described.begin(_references(current[1]))
    while current is not None:
        following = next(shards, None)
        if following is not None:
            described.begin(_references(following[1]))
        yield current
        current = following


def _references(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        yield row.source
        yield row.target


def _check_none_failed(records: Sequence[Record]) -> None:
    for record in records:
        if record["error"] is not None:
            raise BatchError(f"{record['reason']} ({record['error']}); the batch ends here, as --fail-fast asks")


def finish(job: Job, facts: dict[str, object], shards: Shards, outcome: Outcome) -> Outcome:
    """The output is put together; what is not needed any more goes."""
    from likeness.batch.outputs import decode_lines

    paths = shards.all()
    write_output(job.output, paths)
    rows = failed = 0
    for path in paths:
        with path.open("rb") as file:
            for record in decode_lines(file):
                rows += 1
                failed += record["error"] is not None
    manifest.write(job.folder / "manifest.json", facts, finished=True)
    if not job.keep_store:
        remove_store((job.store or job.folder) / _FACES)
    if not failed:  # else they are needed to try those again
        shutil.rmtree(shards.folder, ignore_errors=True)
        remove_store(job.folder / _PLAN)
    return Outcome(rows, failed, outcome.photos)


def remove_store(path: Path) -> None:
    """Removes a SQLite database with its journal files."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def folder_of(job: Job) -> Iterator[Path]:
    """The folder of the run, for this process alone."""
    job.folder.mkdir(mode=0o700, exist_ok=True)

    def waiting() -> None:
        raise BatchError(f"another process works on {job.output}; wait for it, or name another output")

    with one_at_a_time(job.folder / "lock", waiting=waiting, mode=0o600):
        yield job.folder
