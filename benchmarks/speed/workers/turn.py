"""The protocol of contestants' processes: one JSON object per line, in and out. Uses only the standard library.

A request is {"do": name, "repeat": n, "seconds": s, ...}. The answer is {"wall_s": [...], "cpu_s": [...], "peak_mb": m,
"answer": ...} with one entry a repetition: n of them, fewer once `s` seconds have passed, at least one.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def serve(
    actions: Mapping[str, Callable[[dict[str, Any]], Any]], *, cpu: Callable[[], float] = time.process_time
) -> None:
    """Answers requests on standard input until it ends. `actions` do one repetition and return its result."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(_measured(actions[request["do"]], request, cpu)) + "\n")


def _measured(
    action: Callable[[dict[str, Any]], Any], request: dict[str, Any], cpu: Callable[[], float]
) -> dict[str, Any]:
    forget_peak()
    wall_s: list[float] = []
    cpu_s: list[float] = []
    answer = None
    began = time.perf_counter()
    while len(wall_s) < request["repeat"] and (not wall_s or time.perf_counter() - began < request["seconds"]):
        cpu_before, before = cpu(), time.perf_counter()
        answer = action(request)
        wall_s.append(time.perf_counter() - before)
        cpu_s.append(cpu() - cpu_before)
    return {"wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb(), "answer": answer}


def forget_peak() -> None:
    """Resets the kernel's record of this process's peak memory, if permitted."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_mb() -> float | None:
    """The peak of resident memory since `forget_peak`, MB."""
    return memory_mb("self", "VmHWM")


def memory_mb(process: str | int, field: str) -> float | None:
    """A field of /proc/PID/status in MB; None if it is missing."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    return None
