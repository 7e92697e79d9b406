"""A self-hosted CompareFaces: compare the largest face of a photo with the faces of another.

    import likeness

    comparison = likeness.compare_faces("source.jpg", "target.jpg", similarity_threshold=90)
    comparison.matches[0].similarity        # 0 to 100, calibrated to a measured false match rate
    comparison.to_dict()                    # the JSON of AWS Rekognition's CompareFaces

`Comparer` keeps the engine loaded for several comparisons; `client` returns boto3's client with the engine of this
process behind it. `likeness.errors` has the exceptions.
"""

from typing import TYPE_CHECKING, Any

from likeness import errors

if TYPE_CHECKING:
    from likeness.batch.describe import BatchOptions
    from likeness.batch.many import PairResult, compare_many
    from likeness.comparer import Comparer, SourceFace
    from likeness.faces import Comparison, Face, FaceMatch, QualityFilter
    from likeness.image import Photo
    from likeness.inprocess import client
    from likeness.settings import ComparerSettings

__all__ = [
    "BatchOptions",
    "Comparer",
    "ComparerSettings",
    "Comparison",
    "Face",
    "FaceMatch",
    "PairResult",
    "Photo",
    "QualityFilter",
    "SourceFace",
    "client",
    "compare_faces",
    "compare_many",
    "errors",
]
__version__ = "0.1.0"

#: The modules of the public names, imported on first use, so that `likeness --version` loads no engine.
_MODULES = {
    "BatchOptions": "likeness.batch.describe",
    "PairResult": "likeness.batch.many",
    "compare_many": "likeness.batch.many",
    "Comparer": "likeness.comparer",
    "ComparerSettings": "likeness.settings",
    "Photo": "likeness.image",
    "SourceFace": "likeness.comparer",
    "Comparison": "likeness.faces",
    "Face": "likeness.faces",
    "FaceMatch": "likeness.faces",
    "QualityFilter": "likeness.faces",
    "client": "likeness.inprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'likeness' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def compare_faces(
    source: "Photo",
    target: "Photo",
    similarity_threshold: float = 80.0,
    quality_filter: "QualityFilter" = "NONE",
) -> "Comparison":
    """Compares the largest face of `source` with the (at most 100) largest faces of `target`.

    Each photo is a path, the bytes of a JPEG or PNG file, a file opened in binary mode, a Pillow image, or an array of
    upright RGB pixels (height, width, 3), uint8.
    `similarity_threshold`, 0 to 100, divides matches from unmatched faces; `quality_filter` is NONE, AUTO, LOW,
    MEDIUM or HIGH. The first call in a process loads the networks and installs missing ones; later calls are as fast as
    a `Comparer`'s.

    >>> import likeness
    >>> from likeness import packs
    >>> photos = packs.samples()
    >>> comparison = likeness.compare_faces(photos["obama.jpg"], photos["obama2.jpg"])
    >>> comparison.matches[0].similarity > 80
    True
    >>> [landmark.type for landmark in comparison.matches[0].face.landmarks]
    ['eyeLeft', 'eyeRight', 'mouthLeft', 'mouthRight', 'nose']

    Raises `likeness.errors.RequestError` (NoFaceFound, ImageTooSmall, ImageTooLarge, InvalidImageFormat,
    InvalidParameter) for what the service would refuse, and `likeness.errors.PackError` if the networks cannot be
    installed or loaded.
    """
    from likeness.comparer import warm_comparer

    return warm_comparer().compare(
        source, target, similarity_threshold=similarity_threshold, quality_filter=quality_filter
    )
