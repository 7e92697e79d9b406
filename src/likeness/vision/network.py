"""What a step on pixels knows of a neural network: something to call with arrays."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """A loaded network: takes its inputs in order, gives its outputs in order; safe to call from several threads."""

    def __call__(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]: ...
