"""`--engine ray`: the stages of a batch with Ray Data, each over the numbers of what is missing in the storage.

Ray transfers only numbers; photos, faces and results are transferred between nodes and storage, so that the memory of
the driver and of the object store is constant. Work of an actor, worker or node that dies is repeated elsewhere.
"""

import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from likeness.batch.cluster.work import Work
from likeness.batch.errors import BatchError
from likeness.errors import LikenessError

#: The logical memory of an actor: interpreter, networks, and a photo of 12 megapixels.
_ACTOR_BYTES = 600 << 20
#: The time for a node's first answer: it starts an interpreter, which can take over a minute on a busy machine.
_ANSWER_SECONDS = 300
#: The time for the connection to the head of a cluster.
_CONNECT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Cluster:
    """The address of a cluster and the number of actors, by default one per processor.

    Without an address it is RAY_ADDRESS; without that, a cluster is started on this machine for this run.
    """

    address: str | None = None
    actors: int | None = None


def connected(cluster: Cluster) -> Any:
    """Ray, connected to a cluster whose nodes have the same Python and Likeness. Raises BatchError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BatchError("--engine ray needs Ray: pip install 'likeness[ray]'") from error
    if not ray.is_initialized():
        address = cluster.address or os.environ.get("RAY_ADDRESS", "local")
        try:
            _check_reachable(address)
            ray.init(
                address=address,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise BatchError(f"no Ray cluster at {address}: {error}") from error
    with _batch_errors(ray):
        _check_versions(ray)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _check_reachable(address: str) -> None:
    """Raises OSError if nothing accepts connections at HOST:PORT, which Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def run_stage(
    ray: Any,
    stage: Callable[[Work], object],
    work: Work,
    numbers: Sequence[int],
    actors: int,
    done: Callable[[dict[str, Any]], None],
) -> None:
    """Runs `stage`, a class of `cluster.work`, on `numbers`; `done` is called with each result."""
    if not numbers:
        return
    blocks = min(len(numbers), 4 * actors) if len(numbers) < 1000 else len(numbers) // 64
    outcomes = (
        ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=max(1, blocks))
        .map_batches(
            Guarded,
            fn_constructor_args=(stage, work),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(numbers))),
            num_cpus=1,
            memory=_ACTOR_BYTES,
        )
        .iter_rows()
    )
    with _batch_errors(ray):
        for outcome in outcomes:
            done(outcome)


class Guarded:
    """A stage on a node whose unexpected errors are told by kind and place only: Ray logs their texts, in which a photo
    or a vector may be.
    """

    def __init__(self, stage: Callable[[Work], Any], work: Work) -> None:
        with _errors_without_text():
            self._stage = stage(work)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        with _errors_without_text():
            outcome: dict[str, Any] = self._stage(batch)
            return outcome


@contextmanager
def _errors_without_text() -> Iterator[None]:
    try:
        yield
    except LikenessError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a bug raises is logged by Ray
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise RuntimeError(f"{type(error).__name__} at {last.filename}:{last.lineno}") from None


@contextmanager
def _batch_errors(ray: Any) -> Iterator[None]:
    """Turns failures of Ray, after its own retries, into BatchError."""
    try:
        yield
    except BatchError:
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise BatchError(f"the Ray cluster failed: {reason}. The same command resumes the batch") from error


def actors_of(ray: Any, cluster: Cluster) -> int:
    """The number of actors: as configured, or one per processor as far as memory allows."""
    if cluster.actors:
        return cluster.actors
    there = ray.cluster_resources()
    return max(1, min(int(there.get("CPU", 1)), int(there.get("memory", _ACTOR_BYTES) // _ACTOR_BYTES)))


def _check_versions(ray: Any) -> None:
    """All nodes must have this Python and this Likeness, as results must not depend on the node.

    Nodes that died but are still listed as alive are skipped.
    """
    ours = _versions()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = ray.remote(num_cpus=0)(_versions)
    alive = [node for node in ray.nodes() if node["Alive"]]
    answers = [asked.options(scheduling_strategy=strategy(node["NodeID"], soft=False)).remote() for node in alive]
    for node, answer in zip(alive, answers, strict=True):
        try:
            theirs = ray.get(answer, timeout=_ANSWER_SECONDS)
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            continue
        if theirs != ours:
            raise BatchError(f"node {node['NodeManagerAddress']} has {theirs}, and this machine {ours}")


def _versions() -> str:
    from likeness import __version__

    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, Likeness {__version__}"
