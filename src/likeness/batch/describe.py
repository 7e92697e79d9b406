"""The bytes of a photo → its description for the batch, by the Comparer."""

from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.batch.described import AS_SOURCE, AS_TARGET, PHOTO, DescribedPhoto, Faces, Failure
from likeness.comparer import Comparer, ComparerSettings, no_face
from likeness.errors import RequestError
from likeness.faces import OrientationCorrection, QualityFilter
from likeness.image import Photo
from likeness.pipeline import AnalysedPhoto
from likeness.vision.detection import Preference


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options of a batch that change its results."""

    similarity_threshold: float = 80.0
    quality_filter: QualityFilter = "NONE"
    prefer: Preference = "largest"
    pack: str | PathLike[str] = "standard"
    settings: ComparerSettings = field(default_factory=ComparerSettings)


def identity(comparer: Comparer, options: BatchOptions) -> str:
    """What descriptions depend on: networks, their input, and settings."""
    settings: dict[str, Any] = asdict(options.settings)
    chosen = " ".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return f"{comparer.pack_identity} {comparer.vector_identity} {options.quality_filter} {options.prefer} {chosen}"


def describe(comparer: Comparer, photo: Photo, roles: int, options: BatchOptions) -> DescribedPhoto:
    """The description of a photo in `roles`, by one analysis; that of an unusable photo is its failure."""
    most = options.settings.max_faces if roles & AS_TARGET else 1
    try:
        seen = comparer.analyse(
            photo, name=PHOTO, most=most, quality_filter=options.quality_filter, prefer=options.prefer
        )
    except RequestError as error:
        failed = Failure.of(error)
        return DescribedPhoto(failed if roles & AS_SOURCE else None, failed if roles & AS_TARGET else None)
    return DescribedPhoto(
        source=_as_source(seen, options) if roles & AS_SOURCE else None,
        target=_as_target(seen, options) if roles & AS_TARGET else None,
    )


def _as_source(seen: AnalysedPhoto, options: BatchOptions) -> Faces | Failure:
    if seen.main is None:
        return _no_face(seen, options)
    face = replace(seen.faces[seen.main], emotions=None, smile=None)
    return Faces((face,), _bytes(seen.vectors[seen.main]), _correction(seen, options))


def _as_target(seen: AnalysedPhoto, options: BatchOptions) -> Faces | Failure:
    if seen.found == 0 and options.settings.target_without_faces == "error":
        return _no_face(seen, options)
    return Faces(seen.faces, _bytes(seen.vectors), _correction(seen, options))


def _no_face(seen: AnalysedPhoto, options: BatchOptions) -> Failure:
    return Failure.of(no_face(seen, options.quality_filter))


def _correction(seen: AnalysedPhoto, options: BatchOptions) -> OrientationCorrection | None:
    return seen.orientation_correction if options.settings.orientation_correction == "estimate" else None


def _bytes(vectors: NDArray[np.float32]) -> bytes:
    return vectors.astype("<f4").tobytes()
