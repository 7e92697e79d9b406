"""The settings of a comparison, and the validation of its arguments."""

from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any, Literal

from likeness.errors import InvalidParameter, SettingsError
from likeness.faces import QUALITY_FILTERS
from likeness.image import ImageLimits
from likeness.runtime.devices import DEVICES, Device
from likeness.vision.detection import PREFERENCES

_CHOICES = {
    "target_without_faces": ("error", "empty"),
    "face_attributes": ("all", "default"),
    "orientation_correction": ("off", "estimate"),
    "device": DEVICES,
}


@dataclass(frozen=True, slots=True)
class ComparerSettings:
    """The configurable behaviour; the defaults are decisions 1, 3, 4, 9, 10 and 14 of docs/migrating.md.

    `target_without_faces`: an error, or an answer with two empty lists. `face_attributes`: "all" of the API reference,
    or the "default" that the service sends. `orientation_correction`: "estimate" reports the rotation of photos without
    EXIF orientation. `search_rotations`: photos are also searched for faces that are not upright. `uncalibrated`: a
    pack without a calibration answers, with cosines in percent and no false match rate. `device`: what networks run on
    (`likeness.runtime.devices`); one that is not available is an error when the pack is loaded.
    """

    target_without_faces: Literal["error", "empty"] = "error"
    face_attributes: Literal["all", "default"] = "all"
    orientation_correction: Literal["off", "estimate"] = "off"
    search_rotations: bool = True
    uncalibrated: bool = False
    device: Device = "cpu"
    max_faces: int = 100
    min_side_px: int = 80
    max_pixels: int = 100_000_000
    max_bytes: int = 15 * 1024 * 1024
    max_decoding_seconds: float = 2.5

    def __post_init__(self) -> None:
        """Raises SettingsError for a value that makes no sense."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(choices)}")
        for name in ("max_faces", "min_side_px", "max_pixels", "max_bytes"):
            if not _is_count(getattr(self, name), 1):
                raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be a whole number above 0")
        seconds: Any = self.max_decoding_seconds
        if isinstance(seconds, bool) or not (isinstance(seconds, Real) and float(seconds) > 0):
            raise SettingsError(f"max_decoding_seconds is {seconds!r}; it must be a number above 0")

    @property
    def limits(self) -> ImageLimits:
        """The limits that a photo is held to before it is decoded."""
        return ImageLimits(self.min_side_px, self.max_pixels, self.max_bytes, self.max_decoding_seconds)


def check_choices(threshold: float, quality_filter: str, prefer: str = "largest", most: int | None = None) -> None:
    """Raises InvalidParameter for arguments that a comparison cannot have."""
    if isinstance(threshold, bool) or not (isinstance(threshold, Real) and 0.0 <= threshold <= 100.0):
        raise InvalidParameter(f"similarity_threshold is {threshold!r}; it must be a number from 0 to 100.")
    for name, given, known in (("quality_filter", quality_filter, QUALITY_FILTERS), ("prefer", prefer, PREFERENCES)):
        if given not in known:
            raise InvalidParameter(f"{name} is {given!r}; it must be one of {', '.join(known)}.")
    if most is not None and not _is_count(most, 1):
        raise InvalidParameter(f"most is {most!r}; it must be a whole number above 0, or None for max_faces.")


def check_arguments(pack: object, settings: object, threads: object) -> None:
    """Raises SettingsError for arguments that a Comparer cannot have."""
    if not isinstance(pack, (str, PathLike)):
        raise SettingsError(f"pack is {pack!r}; it must be the name of a pack or the path of its folder")
    if not isinstance(settings, ComparerSettings | None):
        raise SettingsError(f"settings is an object of type {type(settings).__name__}; pass a ComparerSettings")
    if threads is not None and not _is_count(threads, 0):
        raise SettingsError(f"threads is {threads!r}; it must be a whole number above 0, or 0 or None: all processors")


def _is_count(value: object, least: int) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least
