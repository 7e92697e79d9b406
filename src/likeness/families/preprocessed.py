"""Networks whose input differs from what a step provides: in channels, normalisation or batch size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.packs.embedder_input import Colour
from likeness.vision.network import Network, Pictures


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a network expects: the order of its channels, and the numbers that 0 to 255 become.

    `mean` is subtracted from R, G, B, in this order, before the division by `scale`.
    """

    colour: Colour = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


class Preprocessed:
    """A network that takes pictures (B, 3, H, W) of 0 to 255 in the order `fed`, and hands them on as `wanted` says.

    ValueError if the network takes bytes and `wanted` changes their values.
    """

    def __init__(self, network: Network, wanted: Preprocessing, *, fed: Colour) -> None:
        self._network = network
        self._reversed = wanted.colour != fed
        in_order = wanted.mean if wanted.colour == "rgb" else wanted.mean[::-1]
        self._mean = np.asarray(in_order, np.float32)[:, np.newaxis, np.newaxis]
        self._factor = np.float32(1.0 / wanted.scale)
        self._shifted = any(wanted.mean) or wanted.scale != 1.0
        if self._shifted and network.takes_bytes:
            raise ValueError("the network takes bytes as they are: mean must be 0, 0, 0 and scale 1")

    @property
    def takes_bytes(self) -> bool:
        """As the network itself."""
        return self._network.takes_bytes

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        """The network's outputs for pictures in its first input."""
        pictures: NDArray[Any] = inputs[0]
        if self._reversed:
            pictures = pictures[..., ::-1] if self.takes_bytes else pictures[:, ::-1]
        if self._shifted:
            pictures = (pictures - self._mean) * self._factor
        given: Pictures = np.ascontiguousarray(pictures)
        return self._network(given, *inputs[1:])


class InBatches:
    """A network with a fixed number of pictures a run, used for any number of them."""

    def __init__(self, network: Network, pictures_a_run: int) -> None:
        self._network = network
        self._a_run = pictures_a_run

    @property
    def takes_bytes(self) -> bool:
        """As the network itself."""
        return self._network.takes_bytes

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        """The outputs for all pictures of the first input; the last run is filled up with black ones."""
        (pictures,) = inputs
        missing = -len(pictures) % self._a_run
        padded = np.concatenate([pictures, np.zeros((missing, *pictures.shape[1:]), pictures.dtype)])
        runs = [self._network(padded[at : at + self._a_run]) for at in range(0, len(padded), self._a_run)]
        return [np.concatenate(parts)[: len(pictures)] for parts in zip(*runs, strict=True)]


def check_side(network: Network, shape: Sequence[int | str | None], side_px: int) -> None:
    """Raises ValueError where `network`, whose first input has this `shape`, takes pictures of another side."""
    sides = shape[1:3] if network.takes_bytes else shape[2:4]
    if any(isinstance(side, int) and side != side_px for side in sides):
        raise ValueError(f"the network takes pictures of {'x'.join(map(str, sides))} px, and size_px is {side_px}")


def for_any_number(network: Network, shape: Sequence[int | str | None]) -> Network:
    """`network`, whose first input has this `shape`, for any number of pictures a call."""
    return InBatches(network, shape[0]) if shape and isinstance(shape[0], int) else network
