"""A batch on a cluster from its pairs to its output; or gone on with, by what is in the storage."""

from dataclasses import dataclass
from pathlib import Path

from likeness.batch import manifest
from likeness.batch.cluster.engine import Cluster, actors_of, connected, run_stage
from likeness.batch.cluster.parts import part_name
from likeness.batch.cluster.storage import Storage, open_storage
from likeness.batch.cluster.work import CompareShards, DescribeParts, Work, write_plan
from likeness.batch.errors import BatchError
from likeness.batch.files import remove_parts
from likeness.batch.outputs import check_format
from likeness.batch.plan import Plan
from likeness.batch.progress import Count, Progress
from likeness.batch.rows import EveryTwo
from likeness.batch.run import Job, Outcome, facts_of, finish, folder_of, remove_store
from likeness.batch.shards import Shards
from likeness.comparer import Comparer


@dataclass(frozen=True, slots=True)
class Place:
    """Where the nodes find photos, and where they share what they make: a folder or an `s3://` URL."""

    images: Path
    shared: str | None = None


def run_on_cluster(job: Job, comparer: Comparer, place: Place, cluster: Cluster, progress: Progress) -> Outcome:
    """Runs a job on a cluster, or goes on with it. Raises BatchError."""
    check_format(job.output, full=job.full)
    if isinstance(job.pairs, EveryTwo) or job.fail_fast or job.retry_errors or job.keep_store:
        raise BatchError(
            "--all-pairs, --fail-fast, --retry-errors and --keep-store are for one machine; leave out --engine ray, "
            "which also goes on with what a cluster has begun"
        )
    ray = connected(cluster)
    with folder_of(job) as folder:
        facts = facts_of(job, comparer)
        state = manifest.state(folder / "manifest.json", job.output, facts)
        if state == "finished":
            return Outcome(0, 0, 0, was_finished=True)
        shared = place.shared or str(folder.absolute())
        storage = open_storage(shared)
        remove_parts(folder)
        if state == "new":
            remove_store(folder / "plan.sqlite")
        with Plan.open(folder / "plan.sqlite") as plan:
            pairs = plan.make(job.pairs)
            manifest.write(folder / "manifest.json", facts, finished=False)
            photos, _ = plan.counts()
            parts, shards = write_plan(storage, plan, job.pairs, job.rows_a_shard)
        work = Work(shared, str(place.images.absolute()), job.options, job.full)
        actors = actors_of(ray, cluster)
        missing = [number for number in range(parts) if part_name(number) not in storage.names("faces")]
        progress.begin(Count(photos), Count(pairs))
        run_stage(ray, DescribeParts, work, missing, actors, lambda done: _photos(progress, done))
        written = storage.names("shards")
        missing = [number for number in range(shards) if f"{number:08}.jsonl" not in written]
        run_stage(ray, CompareShards, work, missing, actors, lambda done: progress.pairs(done["pairs"]))
        outcome = finish(job, facts, _shards_here(job, storage, shared, shards), Outcome(pairs, 0, photos))
        for made in ("faces", "photos", "pairs", *(["shards"] if shared.startswith("s3://") else [])):
            storage.remove(made)
        return outcome


def _photos(progress: Progress, done: dict[str, int]) -> None:
    for place in range(done["photos"]):
        progress.photo(failed=place < done["failed"])


def _shards_here(job: Job, storage: Storage, shared: str, count: int) -> Shards:
    """The shards in the folder of the run; those in S3 are fetched one after the other."""
    shards = Shards(job.folder / "shards", job.rows_a_shard)
    if shared.startswith("s3://"):
        shards.folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(count):
            shards.path(number).write_bytes(storage.read(f"shards/{number:08}.jsonl"))
    return shards
