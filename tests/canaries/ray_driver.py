"""`likeness batch` with the arguments given; then a worker of the same cluster leaves texts wherever a worker may, and
another one fails with a text.

The texts come from standard input, as JSON, by place: a search that finds none of a place does not look there.
"""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from likeness.batch.cluster.engine import run_stage
from likeness.batch.errors import BatchError
from likeness.cli.main import main

PLACES = ("output", "errors", "log", "temporary file", "shared memory")
#: What the name of that memory begins with.
SHARED_MEMORY = "likeness-canary"


class Failing:
    """A stage with a bug, whose error has the text in it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"{len(batch)} of {self._text}")


def leave(texts: Mapping[str, str]) -> None:
    """In a worker."""
    import os
    import tempfile
    from multiprocessing import resource_tracker, shared_memory

    print(texts["output"], flush=True)  # noqa: T201
    print(texts["errors"], file=sys.stderr, flush=True)  # noqa: T201
    logging.getLogger("likeness").error("failed with %s", texts["log"])
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(texts["temporary file"])
    text = texts["shared memory"].encode()
    memory = shared_memory.SharedMemory(f"{SHARED_MEMORY}-{os.getpid()}", create=True, size=len(text))
    memory.buf[:] = text
    resource_tracker.unregister(memory._name, "shared_memory")  # type: ignore[attr-defined]


def fail(text: str) -> None:
    """As a batch does whose engine has a bug."""
    import ray

    try:
        run_stage(ray, Failing, text, [0], 1, print)  # type: ignore[arg-type]  # the text in place of the work
    except BatchError as error:
        print(f"likeness: {error}", file=sys.stderr)  # noqa: T201


def leave_all(texts: Mapping[str, str]) -> None:
    """By the connection that the batch has made."""
    import ray

    ray.get(ray.remote(num_cpus=0)(leave).remote(texts))
    fail(texts["exception"])


if __name__ == "__main__":
    planted = json.load(sys.stdin)
    code = main(sys.argv[1:])
    if code == 0:
        leave_all(planted)
    sys.exit(code)
