"""How each family of detectors is fed and read."""

from collections.abc import Callable, Mapping
from typing import Any

from likeness.vision.detection import Detector
from likeness.vision.detectors.scrfd import Scrfd
from likeness.vision.detectors.yunet import YuNet
from likeness.vision.network import Network

FAMILIES: dict[str, Callable[..., Detector]] = {
    "scrfd": Scrfd,
    "yunet": YuNet,
}


def make_detector(family: str, network: Network, parameters: Mapping[str, Any]) -> Detector:
    """The detector of a family, fed as `parameters` say (the keyword arguments of its class).

    Raises ValueError for an unknown family, and for a parameter that the family does not have.
    """
    if family not in FAMILIES:
        raise ValueError(f"unknown detector family {family!r}; known are {', '.join(sorted(FAMILIES))}")
    try:
        return FAMILIES[family](network, **parameters)
    except TypeError as error:
        raise ValueError(f"detector family {family}: {error}") from error
