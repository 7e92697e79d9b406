"""The families of detectors: which class reads each, how its networks are fed, and what their scores mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.families.preprocessed import Preprocessed, Preprocessing
from likeness.packs.embedder_input import Colour
from likeness.packs.manifest import Role
from likeness.vision.detection import CERTAIN_SCORE, Detections, Detector
from likeness.vision.network import Network

_NOT_OF_THE_CLASS = ("colour", "mean", "scale", "certain_score")


@dataclass(frozen=True, slots=True)
class Family:
    """A family: the class that reads its outputs, the order of channels in which that feeds 0 to 255, what its
    published networks expect, and the score from which their publishers call a detection a face.
    """

    module: str
    name: str
    fed: Colour
    published: Preprocessing
    certain_score: float

    @property
    def make(self) -> Callable[..., Detector]:
        """The class; its module is imported now, so that a pack costs no time for families that it does not have."""
        made: Callable[..., Detector] = getattr(import_module(self.module), self.name)
        return made


FAMILIES: Mapping[str, Family] = {
    "yunet": Family("likeness.vision.yunet", "YuNet", "bgr", Preprocessing("bgr"), CERTAIN_SCORE),
    # certain_score: the default thresholds of InsightFace (0.5) and UniFace (0.5 and 0.35).
    "scrfd": Family(
        "likeness.families.scrfd", "Scrfd", "rgb", Preprocessing("rgb", (127.5, 127.5, 127.5), 128.0), certain_score=0.5
    ),
    "centerface": Family("likeness.families.centerface", "CenterFace", "rgb", Preprocessing("rgb"), certain_score=0.35),
}


def make_detector(role: Role, network: Network) -> Detector:
    """The detector of a pack. The parameters of its `role` are colour, mean, scale and certain_score, by default those
    of the family's published networks, and the keyword arguments of the family's class; TypeError or ValueError for
    others.
    """
    known = FAMILIES[role.family]
    certain_score = role.parameters.get("certain_score", known.certain_score)
    if not 0 < certain_score < 1:
        raise ValueError("certain_score must lie between 0 and 1")
    detector = _as_fed(role, known, network)
    return detector if certain_score == CERTAIN_SCORE else _OnDefaultScale(detector, certain_score)


def _as_fed(role: Role, known: Family, network: Network) -> Detector:
    own = {name: value for name, value in role.parameters.items() if name not in _NOT_OF_THE_CLASS}
    if network.takes_bytes and known.fed == "bgr":
        return known.make(network, **own)  # converted networks take bytes, RGB
    wanted = _preprocessing(role.parameters, known.published)
    if wanted != Preprocessing(known.fed):
        network = Preprocessed(network, wanted, fed=known.fed)
    return known.make(network, **own)


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


def _preprocessing(parameters: Mapping[str, Any], otherwise: Preprocessing) -> Preprocessing:
    """The preprocessing that the parameters of a role say; ValueError for values that make none."""
    colour = parameters.get("colour", otherwise.colour)
    mean = parameters.get("mean", otherwise.mean)
    scale = parameters.get("scale", otherwise.scale)
    if colour not in ("rgb", "bgr"):
        raise ValueError(f"colour is {colour!r}, not rgb or bgr")
    if len(mean) != 3 or not scale > 0:
        raise ValueError("mean must be three numbers, and scale above 0")
    return Preprocessing(colour, (float(mean[0]), float(mean[1]), float(mean[2])), float(scale))
