"""The SQLite file in which an evaluation stores vectors and counts, damaged."""

import io
import random
import sqlite3
from functools import cache

import numpy as np

from fuzz.formats import file_of, folder
from fuzz.target import Target
from fuzz.targets.face_store import mutate as mutate_file
from likeness.evaluation.embeddings import _Kept
from likeness.evaluation.results_file import ResultsFileError, opened
from likeness.evaluation.stored_counts import StoredCounts

MAKER, CELL = "standard 9", b"cell"
VECTOR, COUNTS = b"vec:", b"npz:"


def run(data: bytes) -> None:
    """Recalls a vector and counts, and stores others; an input may be a row's content in a valid file."""
    for suffix in ("-wal", "-shm"):
        (folder() / f"kept.db{suffix}").unlink(missing_ok=True)
    photo = file_of(b"photo", "photo.jpg")
    rows = data.startswith((VECTOR, COUNTS))
    path = file_of(stored() if rows else data, "kept.db")
    if rows:
        table = "embeddings SET vector" if data.startswith(VECTOR) else "counts SET arrays"
        with sqlite3.connect(path) as damaged:
            damaged.execute(f"UPDATE {table} = ?", (data[4:],))
        damaged.close()
    with _Kept.open(path, MAKER) as kept:
        vector = kept.recall(photo)
        assert vector is None or isinstance(vector, (str, np.ndarray))
        kept.remember(photo, np.ones(4, np.float32))
    with opened(path) as database:
        counts = StoredCounts(database)
        counts.recall(CELL)
        counts.remember(CELL, lambda: {"a": np.zeros(2)}, finished=True)


@cache
def stored() -> bytes:
    """A file with a vector and counts."""
    path = folder() / "seed-kept.db"
    photo = file_of(b"photo", "photo.jpg")
    with _Kept.open(path, MAKER) as kept:
        kept.remember(photo, np.ones(4, np.float32))
    with opened(path) as database:
        StoredCounts(database).remember(CELL, lambda: {"a": np.arange(3)}, finished=True)
    return path.read_bytes()


def seeds() -> list[bytes]:
    """A file, a vector and an archive of counts."""
    archive = io.BytesIO()
    np.savez_compressed(archive, a=np.arange(3))
    return [stored(), VECTOR + bytes(16), COUNTS + archive.getvalue()]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """As the face store's."""
    prefix = data[:4] if data.startswith((VECTOR, COUNTS)) else b""
    return prefix + mutate_file(data[len(prefix) :], chance)


TARGET = Target(run, (ResultsFileError,), seeds, mutate=mutate, max_bytes=40_000)
