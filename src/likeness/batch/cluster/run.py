"""A batch on a cluster from its pairs to its output; or resumed from what is in the storage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.batch import manifest
from likeness.batch.cluster.engine import Cluster, actors_of, connected, run_stage
from likeness.batch.cluster.storage import Storage, open_storage
from likeness.batch.cluster.work import CompareShards, DescribeParts, Work, write_plan
from likeness.batch.errors import BatchError
from likeness.batch.outputs import check_format
from likeness.batch.plan import Plan
from likeness.batch.progress import Count, Progress
from likeness.batch.rows import EveryTwo
from likeness.batch.run import Job, Outcome, facts_of, finish, folder_of, remove_store
from likeness.batch.shards import Shards
from likeness.comparer import Comparer
from likeness.whole_file import remove_parts, write_whole


@dataclass(frozen=True, slots=True)
class Place:
    """Where the nodes find photos, and where they share what they make: a folder or an `s3://` URL."""

    images: Path
    shared: str | None = None


def run_on_cluster(job: Job, comparer: Comparer, place: Place, cluster: Cluster, progress: Progress) -> Outcome:
    """Runs a job on a cluster, or resumes it. Raises BatchError."""
    check_format(job.output, full=job.full)
    if isinstance(job.pairs, EveryTwo) or job.keep_store:
        raise BatchError("--all-pairs and --keep-store are for one machine; leave out --engine ray")
    ray = connected(cluster)
    with folder_of(job) as folder:
        facts = facts_of(job, comparer)
        state = manifest.state(folder / "manifest.json", job.output, facts)
        here = Shards(folder / "shards", job.rows_a_shard)
        if state == "finished" and not (job.retry_errors and here.all()):
            return Outcome(0, 0, 0, was_finished=True)
        shared = place.shared or str(folder.absolute())
        storage = open_storage(shared)
        apart = ["shards"] if shared != str(folder.absolute()) else []  # else they are in the folder of the run
        remove_parts(folder)
        if state == "new":
            remove_store(folder / "plan.sqlite")
        if job.retry_errors:
            _fetch(here, storage)
            for made in ("faces", *apart):
                storage.remove(made)
            here.drop_failed()
        with Plan.open(folder / "plan.sqlite") as plan:
            pairs = plan.make(job.pairs)
            manifest.write(folder / "manifest.json", facts, finished=False)
            photos, _ = plan.counts()
            written = storage.names("shards") | {path.name for path in here.all()}
            missing = write_plan(storage, plan, job.pairs, job.rows_a_shard, written)
        work = Work(shared, str(place.images.absolute()), job.options, job.full)
        actors = actors_of(ray, cluster)
        progress.begin(Count(photos), Count(pairs))

        def told(done: dict[str, Any]) -> None:
            _tell(progress, done)
            if job.fail_fast and done["reason"]:
                raise BatchError(f"{done['reason']}; the batch ends here, as --fail-fast asks")

        run_stage(ray, DescribeParts, work, missing.parts, actors, told)
        run_stage(ray, CompareShards, work, missing.shards, actors, told)
        _fetch(here, storage)
        outcome = finish(job, facts, here, Outcome(pairs, 0, photos))
        for made in ("faces", "photos", "pairs", *apart):
            storage.remove(made)
        return outcome


def _tell(progress: Progress, done: dict[str, Any]) -> None:
    for place in range(done.get("photos", 0)):
        progress.photo(failed=place < done["failed"])
    progress.pairs(done.get("pairs", 0))


def _fetch(here: Shards, storage: Storage) -> None:
    """The shards that are in the storage alone come into the folder of the run, one after the other."""
    here.folder.mkdir(mode=0o700, exist_ok=True)
    for name in storage.names("shards") - {path.name for path in here.all()}:
        write_whole(here.folder / name, storage.read(f"shards/{name}"))
