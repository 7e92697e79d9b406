"""Rows and described photos → the batch's records of pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.batch.described import DescribedPhoto, Faces, Failure
from likeness.batch.rows import Row
from likeness.batch.scoring import similarities
from likeness.calibrated import Uncalibrated
from likeness.comparer import Comparer
from likeness.faces import Comparison, FaceMatch

Record = dict[str, Any]


def records_of(
    comparer: Comparer,
    rows: Sequence[Row],
    photos: Mapping[str, DescribedPhoto],
    *,
    threshold: float,
    full: bool = False,
) -> list[Record]:
    """One record per row, in order: the given columns, the best similarity, whether it reaches the threshold, the
    numbers of faces that do and do not, the error's code and its reason; with `full` also the complete answer.
    """
    usable = [row for row in rows if _failure(row, photos) is None]
    values = similarities(comparer, [(photos[row.source], photos[row.target]) for row in usable])
    compared = iter(zip(usable, values, strict=True))
    records: list[Record] = []
    for row in rows:
        failure = _failure(row, photos)
        record: Record = dict(row.given)
        if failure is not None:
            record |= {"similarity": None, "matched": None, "matches": None, "unmatched": None}
            record |= {"error": failure[0].code, "reason": failure[1]}
        else:
            _, found = next(compared)
            matches = int(np.count_nonzero(found.astype(np.float64) >= threshold))
            record |= {"similarity": float(found.max()) if len(found) else None, "matched": matches > 0}
            record |= {"matches": matches, "unmatched": len(found) - matches, "error": None, "reason": None}
            if full:
                record["answer"] = comparison(photos[row.source], photos[row.target], found, threshold).to_dict()
        if full and failure is not None:
            record["answer"] = None
        record |= marks(comparer)
        records.append(record)
    return records


def marks(comparer: Comparer) -> Record:
    """The column that marks every record of an uncalibrated pack."""
    return {"calibrated": False} if isinstance(comparer.calibration, Uncalibrated) else {}


def comparison(
    source: DescribedPhoto, target: DescribedPhoto, values: NDArray[np.float32], threshold: float
) -> Comparison:
    """The answer of `Comparer.compare` for two usable photos with these similarities."""
    if not isinstance(source.source, Faces) or not isinstance(target.target, Faces):
        raise ValueError("a photo that cannot be used has no answer")
    faces = [FaceMatch(float(value), face) for value, face in zip(values, target.target.faces, strict=True)]
    matches = sorted((each for each in faces if each.similarity >= threshold), key=lambda each: -each.similarity)
    return Comparison(
        source=source.source.faces[0],
        matches=tuple(matches),
        unmatched=tuple(each for each in faces if each.similarity < threshold),
        source_orientation_correction=source.source.orientation_correction,
        target_orientation_correction=target.target.orientation_correction,
    )


def _failure(row: Row, photos: Mapping[str, DescribedPhoto]) -> tuple[Failure, str] | None:
    """Why a pair cannot be compared; if both photos are unusable, the source's reason."""
    source, target = photos[row.source].source, photos[row.target].target
    if isinstance(source, Failure):
        return source, source.reason_for(f"source photo ({row.source})")
    if isinstance(target, Failure):
        return target, target.reason_for(f"target photo ({row.target})")
    return None
