"""Compares photos named on standard input with a portrait, in a process of its own: `python worker.py PORTRAIT`.

For each line (a path) it prints one line of JSON: the outcome with the photo as source and as target, the seconds that
both took, and the peak memory of the process. Any exception but a RequestError ends the process.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import likeness
from likeness.errors import RequestError


def outcome(work: Callable[[], object]) -> str:
    """ "answer", or the error's code and reason."""
    try:
        work()
    except RequestError as error:
        return f"{error.code}: {error}"
    return "answer"


def peak_mb() -> float:
    """Peak memory of this program in MB: VmHWM, as getrusage includes the parent's memory before exec."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text("ascii").split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    with likeness.Comparer(threads=1) as comparer:
        portrait = comparer.prepare(Path(sys.argv[1]))
        for line in sys.stdin:
            photo = Path(line.rstrip("\n")).read_bytes()
            started = time.perf_counter()
            ends = [
                outcome(lambda: comparer.prepare(photo)),  # noqa: B023
                outcome(lambda: comparer.compare(portrait, photo).to_dict()),  # noqa: B023
            ]
            seconds = time.perf_counter() - started
            result = {"path": line.strip(), "ends": ends, "seconds": seconds, "peak_mb": peak_mb()}
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
