"""The pairs of an output that are closest to the threshold, with their faces for a page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from likeness.batch.describe import BatchOptions, describe
from likeness.batch.described import AS_SOURCE, AS_TARGET, DescribedPhoto, Faces
from likeness.batch.in_order import map_in_order
from likeness.batch.photos import Reads, reference_of
from likeness.batch.review.crops import face_crop
from likeness.batch.review.report import ReviewedPair, Side
from likeness.batch.rows import TableRows
from likeness.batch.scoring import similarities
from likeness.comparer import Comparer
from likeness.errors import RequestError
from likeness.faces import Face

#: How many photos are cached, as neighbouring pairs often share them.
_HELD = 64


@dataclass(frozen=True, slots=True)
class UncertainPairs:
    """The pairs of an output that are closest to the threshold, `rows`, out of `pairs` that could be compared."""

    rows: list[tuple[str, str, float]]
    pairs: int


def closest(output: Path, columns: tuple[str, str], threshold: float, most: int) -> UncertainPairs:
    """The `most` pairs of an output that are closest to the threshold, the closest first."""
    values = np.fromiter((value for _, value in _compared(output, columns)), np.float64)
    order = np.argsort(np.abs(values - threshold), kind="stable")[:most]
    ranks = {int(place): rank for rank, place in enumerate(order)}
    chosen: list[tuple[str, str, float]] = [("", "", 0.0)] * len(order)
    for place, (record, value) in enumerate(_compared(output, columns)):
        if place in ranks:
            source, target = (reference_of(record[name]) for name in columns)
            chosen[ranks[place]] = source, target, value
    return UncertainPairs(chosen, len(values))


def reviewed(
    rows: list[tuple[str, str, float]], comparer: Comparer, read: Reads, options: BatchOptions, *, one_face: bool
) -> Iterator[ReviewedPair]:
    """Each pair with its compared faces; of a target the most similar one, or, with `one_face`, its largest or central
    one. Photos are read again, as they are not stored.
    """

    @lru_cache(_HELD)
    def seen(reference: str, role: int) -> tuple[bytes | None, DescribedPhoto]:
        try:
            encoded = read(reference)
        except RequestError:
            return None, DescribedPhoto()
        return encoded, describe(comparer, encoded, role, options)

    def work(row: tuple[str, str, float]) -> ReviewedPair:
        source, target = seen(row[0], AS_SOURCE), seen(row[1], AS_SOURCE if one_face else AS_TARGET)
        faces = target[1].source if one_face else target[1].target
        best = _best(comparer, source[1].source, faces)
        return ReviewedPair(
            _side(row[0], source[0], _face(source[1].source, 0), options),
            _side(row[1], target[0], _face(faces, best), options),
            row[2],
        )

    return map_in_order(work, rows, comparer.threads)


def _best(comparer: Comparer, source: object, targets: object) -> int:
    """The index of the most similar target face."""
    if not isinstance(source, Faces) or not isinstance(targets, Faces) or len(targets.faces) < 2:
        return 0
    (values,) = similarities(comparer, [(DescribedPhoto(source=source), DescribedPhoto(target=targets))])
    return int(np.argmax(values))


def _face(side: object, place: int) -> Face | None:
    return side.faces[place] if isinstance(side, Faces) and side.faces else None


def _side(name: str, encoded: bytes | None, face: Face | None, options: BatchOptions) -> Side:
    if encoded is None or face is None:
        return Side(name, None, None)
    return Side(name, face, face_crop(encoded, face, options.settings.limits))


def _compared(output: Path, columns: tuple[str, str]) -> Iterator[tuple[Mapping[str, Any], float]]:
    for record in TableRows(output, *columns).records():
        if record["similarity"] not in (None, ""):
            yield record, float(record["similarity"])
