"""The families of detectors: which class reads each, how its networks are fed, and what their scores mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import prod
from typing import Protocol, runtime_checkable

import numpy as np
from msgspec import UNSET, structs
from numpy.typing import NDArray

from likeness.errors import PackInvalid
from likeness.families.preprocessed import Preprocessed, Preprocessing
from likeness.packs.detector_input import DetectorInput
from likeness.packs.embedder_input import Colour
from likeness.packs.manifest import Role
from likeness.packs.tables import read_table
from likeness.vision.detection import CERTAIN_SCORE, Detections, Detector
from likeness.vision.network import Network, Pictures
from likeness.vision.yunet import STRIDES

Shape = tuple[int, ...]
#: The shapes of a family's outputs for a picture of this height and width, without leading dimensions of 1.
Outputs = Callable[[int, int], list[Shape]]


def _by_stride(anchors: int, *numbers: int) -> Outputs:
    """For each of the `numbers` of a cell an output for each stride, with so many anchors a cell."""

    def outputs(height: int, width: int) -> list[Shape]:
        cells = [anchors * (height // stride) * (width // stride) for stride in STRIDES]
        return [(count, number) for number in numbers for count in cells]

    return outputs


def _maps(*numbers: int) -> Outputs:
    """Maps of these numbers at a fourth of the picture's size."""
    return lambda height, width: [(number, height // 4, width // 4) for number in numbers]


@dataclass(frozen=True, slots=True)
class Family:
    """A family: the class that reads its outputs, the order of channels in which that feeds 0 to 255, what its
    published networks expect, the score from which their publishers call a detection a face, their outputs, and the
    fixed side of their input, 0 for any.
    """

    module: str
    name: str
    fed: Colour
    published: Preprocessing
    certain_score: float
    outputs: Outputs
    side_px: int = 0

    @property
    def make(self) -> Callable[..., Detector]:
        """The class; its module is imported now, so that a pack costs no time for families that it does not have."""
        made: Callable[..., Detector] = getattr(import_module(self.module), self.name)
        return made


FAMILIES: Mapping[str, Family] = {
    "yunet": Family(
        "likeness.vision.yunet",
        "YuNet",
        "bgr",
        Preprocessing("bgr"),
        CERTAIN_SCORE,
        _by_stride(1, 1, 1, 4, 10),
        side_px=640,
    ),
    # certain_score: the default thresholds of InsightFace (0.5) and UniFace (0.5 and 0.35).
    "scrfd": Family(
        "likeness.families.scrfd",
        "Scrfd",
        "rgb",
        Preprocessing("rgb", (127.5, 127.5, 127.5), 128.0),
        0.5,
        _by_stride(2, 1, 4, 10),
    ),
    "centerface": Family(
        "likeness.families.centerface", "CenterFace", "rgb", Preprocessing("rgb"), 0.35, _maps(1, 2, 2, 10)
    ),
}


def family_of(outputs: Sequence[Shape], height: int, width: int) -> str:
    """The family whose networks give outputs of these shapes for a picture of this height and width, "" for none."""
    return next((name for name, family in FAMILIES.items() if _fit(outputs, family.outputs(height, width))), "")


def _fit(given: Sequence[Shape], wanted: Sequence[Shape]) -> bool:
    return len(given) == len(wanted) and all(
        one[-len(other) :] == other and prod(one) == prod(other) for one, other in zip(given, wanted, strict=True)
    )


@runtime_checkable
class _FromFile(Network, Protocol):
    """A network of a file: how errors name it, and the pictures and outputs that its graph declares."""

    described_as: str

    @property
    def sides(self) -> Sequence[int | str | None]: ...

    @property
    def output_names(self) -> list[str]: ...


def make_detector(role: Role, network: Network) -> Detector:
    """The detector of a pack; what its `role` does not say is as in its family's published networks.

    Raises PackInvalid for parameters that no detector has, and, of a network of a file, if it takes other pictures or
    gives other outputs, which may show at the first run only; ValueError for a network of bytes with mean or scale.
    """
    known, given = FAMILIES[role.family], read_table(DetectorInput, dict(role.parameters), "[roles.detector]")
    side_px = known.side_px if given.side_px is UNSET else given.side_px
    if isinstance(network, _FromFile):
        _check_declared(network, role.family, side_px)
        network = _WithOutputsOf(role.family, network)
    certain_score = known.certain_score if given.certain_score is UNSET else given.certain_score
    detector = _as_fed(known, given, side_px, network)
    return detector if certain_score == CERTAIN_SCORE else _OnDefaultScale(detector, certain_score)


def _as_fed(known: Family, given: DetectorInput, side_px: int, network: Network) -> Detector:
    said = {name: value for name, value in structs.asdict(given).items() if value is not UNSET}
    own = {"side_px": side_px, **{name: said[name] for name in ("score_threshold",) if name in said}}
    if network.takes_bytes and known.fed == "bgr":
        return known.make(network, **own)  # converted networks take bytes, RGB
    wanted = replace(known.published, **{name: said[name] for name in ("colour", "mean", "scale") if name in said})
    if wanted != Preprocessing(known.fed):
        network = Preprocessed(network, wanted, fed=known.fed)
    return known.make(network, **own)


def _check_declared(network: _FromFile, family: str, side_px: int) -> None:
    """PackInvalid if the graph has another number of outputs than the family, or takes pictures of another side."""
    count = len(network.output_names)
    if count != len(FAMILIES[family].outputs(0, 0)):
        others = [name for name, each in FAMILIES.items() if len(each.outputs(0, 0)) == count]
        raise _other_outputs(network, family, "".join(others))
    fixed = [side for side in network.sides if isinstance(side, int)]
    if any(side != side_px for side in fixed):
        remedy = f"write side_px = {fixed[0]}" if len(set(fixed)) == 1 else "export it for a square, or for any size"
        raise PackInvalid(
            f"{network.described_as} takes pictures of {'x'.join(map(str, reversed(network.sides)))}, and its side_px "
            f"is {side_px}: {remedy}"
        )


def _other_outputs(network: _FromFile, family: str, recognised: str) -> PackInvalid:
    if recognised:
        return PackInvalid(
            f'{network.described_as} has the outputs of {recognised}, not of {family}: write family = "{recognised}"'
        )
    return PackInvalid(
        f"{network.described_as} does not have the outputs of {family}, nor of another family of detectors "
        f"({', '.join(name for name in FAMILIES if name != family)}): is it a detector with five points?"
    )


class _WithOutputsOf:
    """A network whose outputs are checked, once for each size: a detector must not read those of another family."""

    def __init__(self, family: str, network: _FromFile) -> None:
        self.takes_bytes = network.takes_bytes
        self._family = family
        self._network = network
        self._right: set[Shape] = set()

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        """The network's outputs; PackInvalid if they are not those of the family."""
        outputs = self._network(*inputs)
        given = inputs[0].shape
        if given not in self._right:
            height, width = given[1:3] if self.takes_bytes else given[2:4]
            shapes = [each.shape for each in outputs]
            if not _fit(shapes, FAMILIES[self._family].outputs(height, width)):
                raise _other_outputs(self._network, self._family, family_of(shapes, height, width))
            self._right.add(given)
        return outputs


class _OnDefaultScale:
    """Maps the scores of a detector with another `certain_score` to the default detector's scale, on which all rules
    and the confidence of answers are based; 0 and 1 stay, and scores in between are interpolated.
    """

    def __init__(self, detector: Detector, certain_score: float) -> None:
        self._detector = detector
        self._certain_score = certain_score

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """As `Detector.detect`."""
        found = self._detector.detect(pixels)
        scores = np.interp(found.scores, (0.0, self._certain_score, 1.0), (0.0, CERTAIN_SCORE, 1.0))
        return Detections(found.boxes, scores.astype(np.float32), found.points)
