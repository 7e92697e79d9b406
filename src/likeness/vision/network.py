"""The interface of a neural network: a function of arrays."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.float32] | NDArray[np.uint8]


class Network(Protocol):
    """A loaded network: takes its inputs in order, gives its outputs in order; safe to call from several threads."""

    @property
    def takes_bytes(self) -> bool:
        """Whether it takes pictures as they lie in memory, bytes (B, H, W, 3); else numbers (B, 3, H, W) of float32."""
        ...

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]: ...


def fed(network: Network, pixels: NDArray[np.uint8]) -> Pictures:
    """`pixels` (B, H, W, 3), 0 to 255, in the form that `network` takes."""
    if network.takes_bytes:
        return np.ascontiguousarray(pixels)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
