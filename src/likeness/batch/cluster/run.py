"""Runs a batch on a cluster from its pairs to its output, or resumes it from the storage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from likeness.batch.cluster.engine import Cluster, actors_of, connected, run_stage
from likeness.batch.cluster.face_store import StoredFaces
from likeness.batch.cluster.parts import PHOTOS_A_PART
from likeness.batch.cluster.work import (
    CompareShards,
    DescribeParts,
    MakeBlocks,
    SearchBlocks,
    Work,
    WriteMostSimilar,
    parts_of_block,
    write_parts,
    write_plan,
)
from likeness.batch.describe import identity
from likeness.batch.errors import BatchError
from likeness.batch.plan import Plan
from likeness.batch.progress import Count, Progress
from likeness.batch.records import marks
from likeness.batch.rows import AllPairsInput
from likeness.batch.run import FINISHED_BEFORE, PLAN, Job, Outcome, open_run
from likeness.batch.shards import Shards
from likeness.batch.storage import Storage, open_storage
from likeness.comparer import Comparer
from likeness.sources.store import StoreSettings
from likeness.system.atomic_file import write_atomically

#: What a run creates in the shared storage and removes at its end.
_MADE = ("faces", "photos", "pairs", "vectors", "candidates")


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of the photos, and the shared storage of the nodes: a folder or an `s3://` URL."""

    images: Path
    shared: str | None = None
    stores: tuple[StoreSettings, ...] = (StoreSettings(),)


def run_on_cluster(job: Job, comparer: Comparer, place: Place, cluster: Cluster, progress: Progress) -> Outcome:
    """Runs a job on a cluster, or resumes it. Raises BatchError."""
    if job.store_bytes is not None:
        raise BatchError("--store-size is for one machine: the nodes of a cluster need all faces in the shared storage")
    with open_run(job, comparer) as here:
        if here is None:
            return FINISHED_BEFORE
        ray = connected(cluster)
        own = str(here.folder.absolute())
        work = _work(job, place, own)
        storage = open_storage(work.storage)
        made = _MADE if work.storage == own else (*_MADE, "shards")
        if job.retry_errors:
            _fetch(here.shards, storage)
            _remove(storage, made)
            here.drop_failed()
        with Plan.open(here.folder / PLAN) as plan:
            pairs = here.plan(plan, job.pairs)
            photos, _ = plan.counts()
            progress.begin(Count(photos), Count(pairs))
            stages = _Stages(ray, actors_of(ray, cluster), job.fail_fast, progress)
            if isinstance(job.pairs, AllPairsInput):
                _search(stages, replace(work, photos=photos, top=job.pairs.top, marks=marks(comparer)), storage, plan)
            else:
                written = storage.names("shards") | {path.name for path in here.shards.all()}
                missing = write_plan(storage, plan, job.pairs, job.rows_a_shard, written)
                stages.run(DescribeParts, work, missing.parts)
                stages.run(CompareShards, work, missing.shards)
        _fetch(here.shards, storage)

        def clean_up() -> None:
            _remove(storage, made)
            if work.kept and not job.keep_store:
                StoredFaces(work.kept, identity(comparer, job.options)).remove()

        return here.finish(job, photos, clean_up)


def _work(job: Job, place: Place, own: str) -> Work:
    storage = place.shared or own
    kept = job.store or (storage if job.keep_store else None)
    return Work(storage, str(place.images.absolute()), job.options, job.full, kept, place.stores)


def _search(stages: "_Stages", work: Work, storage: Storage, plan: Plan) -> None:
    """All pairs of photos: analysed, gathered in blocks, compared; one actor writes the most similar pairs."""
    blocks = work.blocks()
    unmade = blocks.missing("vectors")
    needed = {part for number in unmade for part in parts_of_block(number, work.photos)}
    parts = write_parts(storage, plan, range(-(-work.photos // PHOTOS_A_PART)))
    stages.run(DescribeParts, work, [part for part in parts if part in needed])
    stages.run(MakeBlocks, work, unmade)
    stages.run(SearchBlocks, work, blocks.missing("candidates"))
    stages.run(WriteMostSimilar, work, [0])


def _remove(storage: Storage, made: Sequence[str]) -> None:
    for folder in made:
        storage.remove(folder)


@dataclass(frozen=True, slots=True)
class _Stages:
    """The stages of one run, in sequence, on a number of actors."""

    ray: Any
    actors: int
    fail_fast: bool
    progress: Progress

    def run(self, stage: Callable[[Work], object], work: Work, numbers: Sequence[int]) -> None:
        """Runs a stage on the numbers of what is missing. Raises BatchError."""
        run_stage(self.ray, stage, work, numbers, self.actors, self._told)

    def _told(self, done: dict[str, Any]) -> None:
        for place in range(done.get("photos", 0)):
            self.progress.photo(failed=place < done["failed"])
        self.progress.pairs(done.get("pairs", 0))
        if self.fail_fast and done.get("reason"):
            raise BatchError(f"{done['reason']}; the batch ends here, as --fail-fast asks")


def _fetch(here: Shards, storage: Storage) -> None:
    """Copies the shards that are only in the storage into the folder of the run, one at a time."""
    here.folder.mkdir(mode=0o700, exist_ok=True)
    for name in storage.names("shards") - {path.name for path in here.all()}:
        write_atomically(here.folder / name, storage.read(f"shards/{name}"))
