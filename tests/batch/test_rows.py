"""Files of pairs that no parser can take are refused in words, with their line."""

import json
from pathlib import Path

import pytest

from likeness.batch.errors import BatchError
from likeness.batch.outputs import check_format
from likeness.batch.rows import TableRows

_NESTED = '{"a":' + "[" * 100_000
_SURROGATE = '{"Bucket":"b","Name":"\\ud800"}'
_DIGITS = '{"a":' + "9" * 5000 + "}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"source":' + "[" * 100_000 + "\n", "line 1: .*recursion"),
        (f'{{"source":{"9" * 5000},"target":"b.jpg"}}\n', "line 1: Integer value out of range"),
        (json.dumps({"source": _NESTED, "target": "b.jpg"}) + "\n", "row 1: the photo is nested too deeply"),
        (json.dumps({"source": _DIGITS, "target": "b.jpg"}) + "\n", "row 1: .*Integer value out of range"),
        (json.dumps({"source": {"S3Object": None}, "target": "b.jpg"}) + "\n", "row 1: .* is not a photo: give a path"),
        (json.dumps({"source": '{"S3Object":1}', "target": "b.jpg"}) + "\n", "row 1: .* is not a photo: give a path"),
        (
            '{"source":{"Bucket":"b","Name":"n","Version":1},"target":"b.jpg"}\n',
            "row 1: .* is not a photo: give a path",
        ),
        (json.dumps({"source": _SURROGATE, "target": "b.jpg"}) + "\n", "row 1: .* is not a photo: "),
    ],
    ids=[
        *("a nested line", "a long number", "a nested photo", "a long number in a photo", "no object"),
        *("a number as an object", "a number as a version", "half a character"),
    ],
)
def test_a_line_that_no_parser_takes_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(BatchError, match=message):
        list(TableRows(path))


def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    loop, folder = tmp_path / "loop.jsonl", tmp_path / "folder.jsonl"
    loop.symlink_to(loop)
    folder.mkdir()
    for path, said in ((loop, "symbolic links"), (folder, "it is a folder"), (tmp_path / "x" / "a.csv", "no folder")):
        with pytest.raises(BatchError, match=said):
            check_format(path, full=False)


def test_a_time_that_python_has_no_object_for_is_told(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    far = pa.array([2**50], pa.timestamp("ms"))
    pq.write_table(pa.table({"source": ["a.jpg"], "target": ["b.jpg"], "taken": far}), path)
    with pytest.raises(BatchError, match="date value out of range"):
        list(TableRows(path))
