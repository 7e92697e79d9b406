"""A lower bound for Likeness: only the network runs and JPEG decodings of a comparison.

One comparison is recorded: every `session.run` with its inputs, every decoding with its reduction. These calls are then
replayed on the same networks, in the fastest of three arrangements: both photos at once, one thread each, where a
thread that has finished helps the other; one call after the other on all processors; and the first one with equal calls
joined into batches of the best size.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import simplejpeg
from benchmarks.speed.workers import turn
from numpy.typing import NDArray

from likeness import Comparer, packs
from likeness.runtime.sessions import OnnxNetwork
from likeness.system.processors import thread_budget

_BATCHES = (1, 2, 4, 8, 16, 32)
_COMPARER = Comparer()
_COMPARER.warm_up()
_POOL = ThreadPoolExecutor(2)
Call = Callable[[], object]


@cache
def _pack(threads: int) -> packs.LoadedPack:
    """The networks with this number of threads; those of the comparison if it uses as many."""
    compared = _COMPARER._engine._pack
    return compared if compared.threads == threads else packs.load("standard", threads=threads)


@dataclass
class _Run:
    """One recorded `session.run`."""

    role: str
    inputs: list[NDArray[Any]]

    def on(self, threads: int) -> Call:
        network = _pack(threads).network(self.role)
        fed = dict(zip(network._names, self.inputs, strict=True))
        return lambda: network._session.run(network._outputs, fed)


@dataclass
class _Decoding:
    """One recorded JPEG decoding."""

    data: bytes
    options: dict[str, Any]

    def on(self, threads: int) -> Call:
        del threads  # one, always
        return lambda: simplejpeg.decode_jpeg(self.data, **self.options)


Recorded = list[_Run | _Decoding]


def record(work: Callable[[], object]) -> Recorded:
    """The calls that `work` makes, in order."""
    calls: Recorded = []
    roles = {id(network): role for role, network in _COMPARER._engine._pack._networks.items()}
    plain_run, plain_decode = OnnxNetwork.__call__, simplejpeg.decode_jpeg

    def run(network: OnnxNetwork, *inputs: Any) -> Any:
        calls.append(_Run(roles[id(network)], [np.array(each) for each in inputs]))
        return plain_run(network, *inputs)

    def decode(data: bytes, **options: Any) -> Any:
        # The comparison makes its decoded pixels read-only, so a replay needs a separate buffer.
        own = {"buffer": np.empty_like(options["buffer"])} if "buffer" in options else {}
        calls.append(_Decoding(bytes(data), options | own))
        return plain_decode(data, **options)

    with mock.patch.object(OnnxNetwork, "__call__", run), mock.patch.object(simplejpeg, "decode_jpeg", decode):
        work()
    return calls


def _side_by_side(first: list[Call], second: list[Call]) -> None:
    """Two threads with a list of calls each; one that has finished takes from the end of the other's."""
    queues = deque(first), deque(second)

    def work(own: deque[Call], other: deque[Call]) -> None:
        while own or other:
            try:
                call = own.popleft() if own else other.pop()
            except IndexError:
                return  # the other thread took the last one
            call()

    helping = _POOL.submit(work, queues[1], queues[0])
    work(*queues)
    helping.result()


def _one_by_one(calls: list[Call]) -> None:
    for call in calls:
        call()


def _batched(calls: Recorded) -> Recorded:
    """Joins runs of one network on inputs of one shape into batches of the size that is fastest per face."""
    joined: Recorded = []
    alike: dict[tuple[Any, ...], list[_Run]] = {}
    for call in calls:
        if isinstance(call, _Run):
            alike.setdefault((call.role, *(each.shape for each in call.inputs)), []).append(call)
        else:
            joined.append(call)
    for runs in alike.values():
        best = min(_BATCHES, key=lambda size: _seconds_each(runs, size)) if len(runs) >= 8 else 1
        joined += [_join(runs[start : start + best]) for start in range(0, len(runs), best)]
    return joined


def _join(runs: list[_Run]) -> _Run:
    return _Run(runs[0].role, [np.concatenate(parts) for parts in zip(*(run.inputs for run in runs), strict=True)])


def _seconds_each(runs: list[_Run], size: int) -> float:
    if size > len(runs) or (size > 1 and _fixed(runs[0])):
        return float("inf")
    call = _join(runs[:size]).on(1)
    call()
    took = []
    for _ in range(3):
        before = time.perf_counter()
        call()
        took.append(time.perf_counter() - before)
    return min(took) / size


def _fixed(run: _Run) -> bool:
    """Whether the network takes one photo at a time."""
    return isinstance(_pack(1).network(run.role).input_shapes[0][0], int)


def _arrangements(source: Recorded, target: Recorded) -> list[Callable[[], None]]:
    def on(calls: Recorded, threads: int) -> list[Call]:
        return [call.on(threads) for call in calls]

    budget = thread_budget()
    single = on(source, 1), on(target, 1)
    every = on(source + target, budget)
    if budget == 1:
        return [lambda: _one_by_one(every)]
    found = [lambda: _side_by_side(*single), lambda: _one_by_one(every)]
    if len(target) >= 16:
        batches = on(source, 1), on(_batched(target), 1)
        found.append(lambda: _side_by_side(*batches))
    return found


def _fastest(arrangements: list[Callable[[], None]]) -> Callable[[], None]:
    def seconds(arrangement: Callable[[], None]) -> float:
        took = []
        for _ in range(4):
            before = time.perf_counter()
            arrangement()
            took.append(time.perf_counter() - before)
        return min(took)

    return min(arrangements, key=seconds)


_KNOWN: dict[tuple[str, str], Callable[[], None]] = {}


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Records a pair and finds its fastest arrangement; `pair` replays it."""
    source = Path(request["source"]).read_bytes()
    first = record(lambda: _COMPARER.prepare(source))
    prepared = _COMPARER.prepare(source)
    second = record(lambda: _COMPARER.compare(prepared, Path(request["target"]), similarity_threshold=0))
    _KNOWN.clear()  # the recorded inputs of a hundred faces take memory
    _KNOWN[request["source"], request["target"]] = _fastest(_arrangements(first, second))
    runs = [call.role for call in first + second if isinstance(call, _Run)]
    return {
        "runs": {role: runs.count(role) for role in sorted(set(runs))},
        "decodings": len(first + second) - len(runs),
    }


def pair(request: dict[str, Any]) -> None:
    _KNOWN[request["source"], request["target"]]()


turn.serve({"prepare": prepare, "pair": pair})
