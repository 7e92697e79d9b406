"""The embedded faces of a table of photos or of pairs, with the attributes of the people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.comparer import Comparer
from likeness.evaluation.embeddings import embed_photos
from likeness.evaluation.pairs import PairSet, without
from likeness.evaluation.photo_table import LabelledTable


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFaces:
    """The usable faces of one table: `vectors` (N, D), and for each its person, its cell for comparisons and its group
    for the cohort, "" for none. For a table of pairs, `pairs` index them. `failures` is the number of photos without a
    usable face.
    """

    name: str
    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    cells: NDArray[np.str_]
    groups: NDArray[np.str_]
    pairs: PairSet | None = None
    failures: int = 0


def label_faces(
    comparer: Comparer,
    path: Path,
    table: LabelledTable,
    within: Sequence[str],
    *,
    keep: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> LabelledFaces:
    """The usable faces of the photos in the `table` at `path`, relative to its folder.

    Cells are given by the columns `within`, groups by the first of these; photos of a table of pairs are in no cell,
    unless `within` is empty. `keep` is a file that stores vectors. Raises PhotoTableError.
    """
    photos, pairs = table.photos, table.pairs
    known = not within or pairs is None
    nowhere = np.full(len(photos.photos), "")
    cells, groups = (photos.cells(within), photos.cells(within[:1])) if known else (nowhere, nowhere)
    embeddings = embed_photos(comparer, [path.parent / name for name in photos.photos], keep=keep, advance=advance)
    usable = embeddings.usable
    return LabelledFaces(
        path.resolve().parent.name,
        embeddings.vectors[usable],
        photos.people[usable],
        cells[usable],
        groups[usable],
        None if pairs is None else without(pairs, usable),
        failures=len(embeddings.failures),
    )
