"""The calibration of a pack, and its substitute for an uncalibrated pack, if the user allows one."""

import shlex
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.claims import Claim
from likeness.errors import PackInvalid
from likeness.packs import store
from likeness.packs.manifest import Manifest
from likeness.vision.calibration import Calibration

#: The note with every answer of an uncalibrated pack.
UNCALIBRATED = "the pack is not calibrated: Similarity is the cosine in percent, and says nothing of false matches"


@dataclass(frozen=True)
class Uncalibrated(Calibration):
    """Stands in where a pack has no calibration: Similarity is the score in percent, and no rate is known."""

    scores: tuple[float, ...] = (0.0, 1.0)
    log10_rates: tuple[float, ...] = (0.0, -1.0)
    equal_error_rate: float = 0.49
    measured_log10_rate: float = 0.0

    def similarity(self, scores: ArrayLike) -> NDArray[np.float64]:
        """The cosines in percent, those below 0 as 0; 100 only for identical vectors."""
        values = np.asarray(scores, np.float64)
        return np.where(np.isposinf(values), 100.0, np.clip(100.0 * values, 0.0, 99.9999))

    def false_match_rate(self, similarity: ArrayLike) -> NDArray[np.float64]:
        """NaN: no rate is known."""
        return np.full(np.shape(similarity), np.nan)

    def claim(self, similarity: float) -> Claim:  # noqa: ARG002
        """No rate may be claimed for any Similarity."""
        return Claim(float("nan"), "unknown")


def calibration_of(manifest: Manifest, *, allow_none: bool) -> Calibration:
    """Score to Similarity; PackInvalid if the pack has no curve, so promises nothing, and that is not allowed, or if
    the curve was fitted to other scores.
    """
    if manifest.calibration is not None:
        check_calibrated(manifest)
        return manifest.calibration
    if allow_none and manifest.scoring.method == "cosine":
        return Uncalibrated()
    raise PackInvalid(
        f"{_not_calibrated(manifest)}, or use it without: ComparerSettings(uncalibrated=True), --uncalibrated in a "
        "command"
    )


def check_calibrated(manifest: Manifest) -> None:
    """PackInvalid if the pack has no curve for its scores: for what measures the rates that a Similarity promises."""
    fault = calibration_fault(manifest)
    if manifest.calibration is None or fault:
        raise PackInvalid(fault or _not_calibrated(manifest))


def calibration_fault(manifest: Manifest) -> str:
    """What is wrong with the calibration of a pack, "" for nothing, also if it has none, or does not say its scores."""
    table = manifest.table.get("calibration", {})
    fitted_to = {name: table.get(name, "") for name in manifest.score_identity}
    if not fitted_to["vectors"] or fitted_to == manifest.score_identity:  # packs may be older than these members
        return ""
    return (
        f"{manifest.described_as}: [calibration] is for other networks, another input or another cohort than the "
        f"pack's; calibrate again with `{calibrate_command(manifest.folder or manifest.name)}`"
    )


def calibrate_command(pack: PathLike[str] | str) -> str:
    """The command that calibrates a pack of the user, to be copied into a shell.

    A pack in the cache folder is copied first, into the current folder: there an installation replaces it.
    """
    where, copied = shlex.quote(str(pack)), ""
    if is_in_cache(pack):
        own = f"./{Path(pack).name.rpartition('-')[0]}"
        where, copied = own, f"cp -r {where} {own} && "
    return f"{copied}likeness calibrate PEOPLE.csv --within group,sex --pack {where} --into {where}"


def is_in_cache(pack: PathLike[str] | str) -> bool:
    """Whether the folder `pack` is that of an installed pack in the cache folder."""
    return Path(pack).resolve().parent == (store.home() / "packs").resolve()


def _not_calibrated(manifest: Manifest) -> str:
    return (
        f"{manifest.described_as} has no [calibration], so it cannot say how alike two faces are; make one with "
        f"`{calibrate_command(manifest.folder or manifest.name)}`"
    )
