"""The families of detectors: which class reads each, and how its networks are fed unless a pack says otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from likeness.families.preprocessed import Preprocessed, Preprocessing
from likeness.packs.embedder_input import Colour
from likeness.packs.manifest import Role
from likeness.vision.detection import Detector
from likeness.vision.network import Network

_PREPROCESSING = ("colour", "mean", "scale")


@dataclass(frozen=True, slots=True)
class Family:
    """A family: the class that reads its outputs, the order of channels in which that feeds 0 to 255, and what the
    published networks of the family expect.
    """

    module: str
    name: str
    fed: Colour
    published: Preprocessing

    @property
    def make(self) -> Callable[..., Detector]:
        """The class; its module is imported now, so that a pack costs no time for families that it does not have."""
        made: Callable[..., Detector] = getattr(import_module(self.module), self.name)
        return made


FAMILIES: Mapping[str, Family] = {
    "yunet": Family("likeness.vision.yunet", "YuNet", "bgr", Preprocessing("bgr")),
    "scrfd": Family("likeness.families.scrfd", "Scrfd", "rgb", Preprocessing("rgb", (127.5, 127.5, 127.5), 128.0)),
    "centerface": Family("likeness.families.centerface", "CenterFace", "rgb", Preprocessing("rgb")),
}


def make_detector(role: Role, network: Network) -> Detector:
    """The detector of a pack. The parameters of its `role` are colour, mean and scale, by default those of the family's
    published networks, and the keyword arguments of the family's class; TypeError or ValueError for others.
    """
    known = FAMILIES[role.family]
    own = {name: value for name, value in role.parameters.items() if name not in _PREPROCESSING}
    if network.takes_bytes and known.fed == "bgr":
        return known.make(network, **own)  # converted networks take bytes, RGB
    wanted = _preprocessing(role.parameters, known.published)
    if wanted != Preprocessing(known.fed):
        network = Preprocessed(network, wanted, fed=known.fed)
    return known.make(network, **own)


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
