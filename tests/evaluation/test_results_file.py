"""The file in which an evaluation stores vectors and counts: what is damaged is computed again."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from likeness.evaluation.embeddings import _Kept
from likeness.evaluation.results_file import ResultsFileError, opened
from likeness.evaluation.stored_counts import StoredCounts


def change(path: Path, table: str, column: str, content: bytes) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {table} SET {column} = ?", (content,))
    database.close()


def test_a_damaged_vector_is_computed_again(tmp_path: Path) -> None:
    photo, path = tmp_path / "a.jpg", tmp_path / "kept"
    photo.write_bytes(b"a photo")
    with _Kept.open(path, "standard 9") as kept:
        kept.remember(photo, np.ones(4, np.float32))
    change(path, "embeddings", "vector", b"\0" * 13)
    with _Kept.open(path, "standard 9") as kept:
        assert kept.recall(photo) is None
        kept.remember(photo, np.ones(4, np.float32))
        np.testing.assert_array_equal(kept.recall(photo), np.ones(4))


def test_damaged_counts_are_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    with opened(path) as database:
        counts = StoredCounts(database)
        counts.remember(b"cell", lambda: {"a": np.arange(9)}, finished=True)
        recalled = counts.recall(b"cell")
        assert recalled is not None
        np.testing.assert_array_equal(recalled["a"], np.arange(9))
        ((whole,),) = database.execute("SELECT arrays FROM counts")
    for damaged in (
        b"",
        b"PK",
        b"\xff" * 8,
        b"\xff" * 16,
        b"\0" * 8,
        whole[:-1],
        whole[:60] + b"\xff" + whole[61:],
        b"\x93NUMPY" + whole,
    ):
        change(path, "counts", "arrays", damaged)
        with opened(path) as database:
            assert StoredCounts(database).recall(b"cell") is None


def test_damaged_definitions_of_the_tables_are_told(tmp_path: Path) -> None:
    with opened(tmp_path / "kept"):
        pass
    content = (tmp_path / "kept").read_bytes()
    (tmp_path / "kept").write_bytes(content.replace(b"CREATE TABLE counts", b"CREATE \xff\xfeBLE counts"))
    with pytest.raises(ResultsFileError, match="cannot store embeddings"), opened(tmp_path / "kept"):
        pass
