"""Likeness in process: one warm Comparer."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.speed.workers import turn

from likeness import Comparer

_COMPARER = Comparer()
_COMPARER.warm_up()


def pair(request: dict[str, Any]) -> dict[str, Any]:
    comparison = _COMPARER.compare(request["source"], request["target"], similarity_threshold=0)
    best = comparison.matches[0].similarity if comparison.matches else None
    return {"faces": len(comparison.matches), "best": best, "stages_s": dict(comparison.trace.seconds)}


def many(request: dict[str, Any]) -> dict[str, Any]:
    source = _COMPARER.prepare(request["source"])
    targets = [_COMPARER.compare(source, target, similarity_threshold=0) for target in request["targets"]]
    return {"faces": sum(len(each.matches) for each in targets)}


def clients(request: dict[str, Any]) -> dict[str, Any]:
    """`clients` threads compare the pair for `lasting` seconds; returns the time of each comparison."""
    source, target = Path(request["source"]).read_bytes(), Path(request["target"]).read_bytes()
    end = time.perf_counter() + request["lasting"]

    def compare() -> list[float]:
        took = []
        while time.perf_counter() < end:
            before = time.perf_counter()
            _COMPARER.compare(source, target, similarity_threshold=0)
            took.append(time.perf_counter() - before)
        return took

    began = time.perf_counter()
    with ThreadPoolExecutor(request["clients"]) as pool:
        comparing = [pool.submit(compare) for _ in range(request["clients"])]
        took_s = [seconds for each in comparing for seconds in each.result()]
    return {"took_s": took_s, "lasted_s": time.perf_counter() - began}


turn.serve({"pair": pair, "many": many, "clients": clients})
