"""The files of a run that a kill or a disk may damage: its manifest, and a shard of records."""

from fuzz.formats import file_of, folder
from fuzz.target import Target
from likeness.batch import manifest
from likeness.batch.errors import BatchError
from likeness.batch.outputs import write_output
from likeness.batch.shards import Shards

FACTS = {"pairs": "abc", "threshold": 80.0}


def run(data: bytes) -> None:
    """The first byte selects the file."""
    if data[:1] > b"\x7f":
        shard = file_of(data[1:], "00000000.jsonl")
        write_output(folder() / "out.csv", [shard], ["source", "target"])
        Shards(folder(), 10).drop_failed()
        return
    path = file_of(data[1:], "run.json")
    assert manifest.state(path, file_of(b"", "output.jsonl"), FACTS) in ("begun", "finished")


TARGET = Target(
    run,
    (BatchError,),
    lambda: [
        b'\0{"finished": true, "facts": {"form": 2, "pairs": "abc", "threshold": 80.0}}',
        b'\x80{"source": "a", "target": "b", "similarity": 1.5, "error": null, "answer": {"x": []}}\n',
    ],
    tokens=(b'"facts"', b'"finished"', b'"form"', b'"error"', b"[]", b"null", b"NaN", b"\\ud800", b"\n"),
)
