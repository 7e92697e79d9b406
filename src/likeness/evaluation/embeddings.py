"""Embeds each photo of an evaluation once, on all processors; resumes an interrupted run."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.batch.in_order import map_in_order
from likeness.comparer import Comparer
from likeness.errors import LikenessError, RequestError
from likeness.evaluation.results_file import opened
from likeness.faces import QualityFilter
from likeness.vision.detection import Preference

#: Of a number of a vector.
_NUMBER_BYTES = 4


class NoPhotoUsable(LikenessError):
    """None of the photos of an evaluation has a usable face; the message has the reason for the first one."""


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The vectors (N, D) float32 of N photos; an unusable photo has zeros, and its reason is in `failures`."""

    vectors: NDArray[np.float32]
    failures: dict[int, str]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which photos have a vector, (N,)."""
        usable = np.ones(len(self.vectors), dtype=np.bool_)
        usable[list(self.failures)] = False
        return usable


def embed_photos(
    comparer: Comparer,
    photos: Sequence[Path],
    *,
    quality_filter: QualityFilter = "NONE",
    prefer: Preference = "central",
    keep: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Embeddings:
    """The vector of the central or the largest face of each photo.

    `keep` is a file that stores vectors between runs, by the content of the photo and the pack; without it nothing is
    written. `advance` is called after each photo. A photo without a usable face is in `failures` and does not end the
    run. Raises NoPhotoUsable if all are like that, ResultsFileError and PackError.
    """
    vectors: dict[int, NDArray[np.float32]] = {}
    failures: dict[int, str] = {}

    with _Kept.open(keep, f"{comparer.vector_identity} {quality_filter} {prefer}") as kept:

        def outcome_of(path: Path) -> NDArray[np.float32] | str:
            known = kept.recall(path)
            if known is not None:
                return known
            try:
                return comparer.prepare(path, quality_filter=quality_filter, prefer=prefer).vector
            except RequestError as error:
                return str(error)

        for place, outcome in enumerate(map_in_order(outcome_of, photos, comparer.threads)):
            kept.remember(photos[place], outcome)
            if isinstance(outcome, str):
                failures[place] = outcome
            else:
                vectors[place] = outcome
            advance()
    if photos and not vectors:
        raise NoPhotoUsable(f"no photo could be used; the reason for the first: {failures[0]}")
    width = len(next(iter(vectors.values()), ()))
    rows = [vectors.get(place, np.zeros(width, dtype=np.float32)) for place in range(len(photos))]
    return Embeddings(np.stack(rows) if rows else np.zeros((0, width), dtype=np.float32), failures)


class _Kept:
    """Vectors in a SQLite file, by the photo's content and `maker` (pack and options); does nothing without a file."""

    def __init__(self, database: sqlite3.Connection | None, maker: str) -> None:
        self._database = database
        self._maker = maker

    @classmethod
    @contextmanager
    def open(cls, path: Path | None, maker: str) -> Iterator["_Kept"]:
        """Opens or creates the file, see `likeness.evaluation.results_file.opened`."""
        with opened(path) as database:
            yield cls(database, maker)

    def recall(self, photo: Path) -> NDArray[np.float32] | str | None:
        """The stored outcome of a photo, None if there is none."""
        key = _content(photo) if self._database else None
        if self._database is None or key is None:
            return None
        row = self._database.execute(
            "SELECT vector, failure FROM embeddings WHERE photo = ? AND maker = ?", (key, self._maker)
        ).fetchone()
        if row is None:
            return None
        if row[0] is None:
            return str(row[1])
        # A damaged vector is computed again.
        return np.frombuffer(row[0], dtype=np.float32) if len(row[0]) % _NUMBER_BYTES == 0 else None

    def remember(self, photo: Path, outcome: NDArray[np.float32] | str) -> None:
        """Stores the outcome of a photo."""
        key = _content(photo) if self._database else None
        if self._database is None or key is None:
            return
        vector, failure = (None, outcome) if isinstance(outcome, str) else (outcome.tobytes(), None)
        self._database.execute(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", (key, self._maker, vector, failure)
        )


def _content(photo: Path) -> bytes | None:
    try:
        return hashlib.sha256(photo.read_bytes()).digest()
    except OSError:
        return None
