"""Tables of pairs for a batch: CSV, JSON lines and Parquet; and the file with reviewers' decisions."""

import io
from functools import cache

from fuzz.formats import file_of
from fuzz.target import Target
from likeness.batch.errors import BatchError
from likeness.batch.outputs import write_records
from likeness.batch.review.decisions import read_decisions
from likeness.batch.rows import TableRows

SUFFIXES = (".csv", ".jsonl", ".parquet")


def run(data: bytes) -> None:
    """The first byte selects the format, or the decisions."""
    number = data[0] % 4 if data else 0
    if number == 3:
        for decision in read_decisions(file_of(data[1:], "decisions.csv")).values():
            assert decision.decision
        return
    rows = TableRows(file_of(data[1:], f"pairs{SUFFIXES[number]}"))
    assert rows.fingerprint
    records = [dict(row.given) for row in rows]
    columns = list(rows.columns)
    for suffix in SUFFIXES:
        write_records(file_of(b"", f"out{suffix}"), lambda: iter(records), columns)


@cache
def parquet() -> bytes:
    """Pairs with columns of several types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    table = pa.table({"source": ["a.jpg", "b.jpg"], "target": ["c.jpg", "d.jpg"], "n": [1, None], "x": [[1.5], []]})
    pq.write_table(table, file)
    return file.getvalue()


def seeds() -> list[bytes]:
    """A table of each format, and decisions."""
    return [
        b'\0source,target,id\na.jpg,b.jpg,1\n"c ""d"".jpg",s3://b/e.jpg,\n',
        b'\1{"source": "a.jpg", "target": "b.jpg", "id": 1, "more": {"x": [null]}}\n\n{"source": "a", "target": "b"}\n',
        b"\2" + parquet(),
        b"\3source,target,decision,note\na.jpg,b.jpg,accept,fine\na.jpg,c.jpg,defer,\n",
    ]


TARGET = Target(
    run,
    (BatchError,),
    seeds,
    tokens=(
        *(b"source", b"target", b"decision", b"note", b"similarity", b"accept", b"reject", b'""', b'"', b"\r", b"\x00"),
        *(b'"source":', b"1e999", b"12345678901234567890", b"\\ud800", b"\xef\xbb\xbf", b"s3://", b"PAR1", b"\n\n"),
    ),
    max_bytes=8192,
)
