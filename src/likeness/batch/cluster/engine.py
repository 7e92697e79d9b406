"""`--engine ray`: the stages of a batch as Ray Data, each over the numbers of what is not in the storage yet.

Ray moves numbers; photos, faces and results go between nodes and storage alone, so the driver's memory and the object
store's do not grow with the pairs. What an actor, a worker or a node leaves undone when it dies is done elsewhere.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from likeness.batch.cluster.work import Work
from likeness.batch.errors import BatchError

#: Logical memory of an actor: interpreter, networks, and a photo of 12 megapixels in work.
_ACTOR_BYTES = 600 << 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, and how many actors; by default one for each processor it has.

    Without an address it is what RAY_ADDRESS says, and else one that is started on this machine for this run alone.
    """

    address: str | None = None
    actors: int | None = None


def connected(cluster: Cluster) -> Any:
    """Ray, connected to a cluster whose nodes run the same Python and Likeness. Raises BatchError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BatchError("--engine ray needs Ray: pip install 'likeness[ray]'") from error
    if not ray.is_initialized():
        address = cluster.address or os.environ.get("RAY_ADDRESS", "local")
        try:
            ray.init(
                address=address,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise BatchError(f"no Ray cluster at {address}: {error}") from error
    with _failures_in_words(ray):
        _check_versions(ray)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    return ray


def run_stage(
    ray: Any,
    stage: Callable[[Work], object],
    work: Work,
    numbers: Sequence[int],
    actors: int,
    done: Callable[[dict[str, Any]], None],
) -> None:
    """Has `stage`, a class of `cluster.work`, do its work on `numbers`; `done` is told of each."""
    if not numbers:
        return
    blocks = min(len(numbers), 4 * actors) if len(numbers) < 1000 else len(numbers) // 64
    outcomes = (
        ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=max(1, blocks))
        .map_batches(
            stage,
            fn_constructor_args=(work,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(numbers))),
            num_cpus=1,
            memory=_ACTOR_BYTES,
        )
        .iter_rows()
    )
    with _failures_in_words(ray):
        for outcome in outcomes:
            done(outcome)


@contextmanager
def _failures_in_words(ray: Any) -> Iterator[None]:
    """What Ray itself fails with, after its own retries, as a BatchError."""
    try:
        yield
    except BatchError:
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise BatchError(f"the Ray cluster failed: {reason}. The same command continues where it stopped") from error


def actors_of(ray: Any, cluster: Cluster) -> int:
    """How many actors there are to be: as asked, or one a processor, as far as their memory goes."""
    if cluster.actors:
        return cluster.actors
    there = ray.cluster_resources()
    return max(1, min(int(there.get("CPU", 1)), int(there.get("memory", _ACTOR_BYTES) // _ACTOR_BYTES)))


def _check_versions(ray: Any) -> None:
    """Every node must have this Python and this Likeness, or answers would depend on who gave them."""
    ours = _versions()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = ray.remote(num_cpus=0)(_versions)
    for node in ray.nodes():
        if node["Alive"]:
            placed = asked.options(scheduling_strategy=strategy(node["NodeID"], soft=False))
            theirs = ray.get(placed.remote(), timeout=60)
            if theirs != ours:
                raise BatchError(f"node {node['NodeManagerAddress']} has {theirs}, and this machine {ours}")


def _versions() -> str:
    from likeness import __version__

    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, Likeness {__version__}"
