"""The manifest of a run: a different run with the same output is refused, with the differences."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from likeness.batch.errors import BatchError
from likeness.system.atomic_file import write_atomically

#: The version of the format of records and shards.
FORM = 2


State = Literal["new", "begun", "finished"]


def state(path: Path, output: Path, facts: Mapping[str, object]) -> State:
    """The state of the run with these facts.

    `facts` are everything on which the output depends. Raises BatchError if the output is of something else.
    """
    facts = {"form": FORM, **facts}
    if not path.exists():
        if output.exists():
            raise BatchError(f"{output} exists and is not of this batch; remove it or choose another output")
        return "new"
    try:
        before = json.loads(path.read_text("utf-8"))
        known = dict(before["facts"].items())
        finished = bool(before["finished"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BatchError(f"{path} cannot be read ({error}); remove {path.parent} to start again") from error
    differing = [name for name in facts if known.get(name) != json.loads(json.dumps(facts[name]))]
    if differing:
        differences = "; ".join(f"{name} was {known.get(name)}, is {facts[name]}" for name in differing)
        raise BatchError(
            f"{output} is of another batch: {differences}. Choose another output, or remove it and {path.parent}"
        )
    return "finished" if finished and output.exists() else "begun"


def write(path: Path, facts: Mapping[str, object], *, finished: bool) -> None:
    """Writes the manifest atomically."""
    document = {"finished": finished, "facts": {"form": FORM, **facts}}
    write_atomically(path, json.dumps(document, indent=2).encode() + b"\n")
