"""Bytes of a photo → what the batch keeps of it, by the one Comparer."""

from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

import numpy as np

from likeness.batch.described import AS_SOURCE, AS_TARGET, PHOTO, DescribedPhoto, Faces, Failure
from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import NoFaceFound, RequestError
from likeness.faces import QualityFilter
from likeness.image import Photo
from likeness.pipeline import Preference


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What of a batch changes its answers."""

    similarity_threshold: float = 80.0
    quality_filter: QualityFilter = "NONE"
    prefer: Preference = "largest"
    pack: str | PathLike[str] = "standard"
    settings: ComparerSettings = field(default_factory=ComparerSettings)


def identity(comparer: Comparer, options: BatchOptions) -> str:
    """What the descriptions depend on: networks, how they are fed, and settings."""
    settings: dict[str, Any] = asdict(options.settings)
    chosen = " ".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return f"{comparer.pack_identity} {comparer.vector_identity} {options.quality_filter} {options.prefer} {chosen}"


def describe(comparer: Comparer, photo: Photo, roles: int, options: BatchOptions) -> DescribedPhoto:
    """What a photo is in `roles`; a photo that cannot be used is described by its failure."""
    return DescribedPhoto(
        source=_as_source(comparer, photo, options) if roles & AS_SOURCE else None,
        target=_as_target(comparer, photo, options) if roles & AS_TARGET else None,
    )


def _as_source(comparer: Comparer, photo: Photo, options: BatchOptions) -> Faces | Failure:
    try:
        found = comparer.prepare(photo, quality_filter=options.quality_filter, prefer=options.prefer)
    except RequestError as error:
        return Failure.of(error, "source photo")
    return Faces((found.face,), found.vector.astype("<f4").tobytes(), found.orientation_correction)


def _as_target(comparer: Comparer, photo: Photo, options: BatchOptions) -> Faces | Failure:
    try:
        found = comparer.analyse(photo, quality_filter=options.quality_filter, name=PHOTO)
        if found.found == 0:
            return Failure.of(NoFaceFound(f"{PHOTO}: no face found"))
        return Faces(found.faces, np.asarray(found.vectors, "<f4").tobytes())
    except RequestError as error:
        return Failure.of(error)
