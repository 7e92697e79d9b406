"""Two photos in, one Comparison out: the only pipeline there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from likeness.faces import Comparison, QualityFilter

#: What can be compared: encoded bytes, a file's path, or upright RGB pixels (height, width, 3) of uint8.
Photo = bytes | bytearray | memoryview | str | PathLike[str] | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ComparerSettings:
    """What of the behaviour can be chosen; the defaults are those of decisions 1, 3, 4, 9, 10, 14."""

    target_without_faces: Literal["error", "empty"] = "error"
    face_attributes: Literal["all", "default"] = "all"
    orientation_correction: Literal["off", "estimate"] = "off"
    search_rotations: bool = True
    max_faces: int = 100
    min_side_px: int = 80
    max_pixels: int = 100_000_000
    max_bytes: int = 15 * 1024 * 1024


class Comparer:
    """A warm engine: loads a model pack once and compares as many photos as asked, from as many threads as asked."""

    def __init__(
        self,
        pack: str | PathLike[str] = "standard",
        *,
        settings: ComparerSettings | None = None,
        threads: int | None = None,
    ) -> None: ...

    def compare(
        self,
        source: Photo,
        target: Photo,
        *,
        similarity_threshold: float = 80.0,
        quality_filter: QualityFilter = "NONE",
    ) -> Comparison:
        raise NotImplementedError

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ = (Sequence, Any)
