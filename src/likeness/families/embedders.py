"""The embedder of a pack: its network, with any number of chips a call, and how it is fed."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackInvalid
from likeness.families.preprocessed import for_any_number
from likeness.packs.embedder_input import EmbedderInput
from likeness.vision.embedding import Embedder
from likeness.vision.network import Pictures

if TYPE_CHECKING:
    from likeness.runtime.sessions import OnnxNetwork


def make_embedder(given: EmbedderInput, network: "OnnxNetwork") -> Embedder:
    """The embedder of a pack, fed as `given`.

    Raises PackInvalid if the network takes chips of another size, or, at the first run, if it does not give a vector
    for each; ValueError for a network of bytes with mean or scale.
    """
    if any(isinstance(side, int) and side != given.size_px for side in network.sides):
        raise PackInvalid(
            f"{network.described_as} takes chips of {'x'.join(map(str, reversed(network.sides)))}, and its size_px is "
            f"{given.size_px}: write size_px = {network.sides[0]} and a template for that size"
        )
    return Embedder(
        for_any_number(_Vectors(network), network.input_shapes[0]),
        given.aligner,
        normalised=(given.mean, given.scale),
        reversed_colours=given.colour == "bgr",
        lengths=given.lengths,
    )


class _Vectors:
    """A network that must give a vector for each picture."""

    def __init__(self, network: "OnnxNetwork") -> None:
        self.takes_bytes = network.takes_bytes
        self._network = network

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        """The network's outputs; PackInvalid if the first is not (pictures, ...)."""
        outputs = self._network(*inputs)
        shape = outputs[0].shape
        if len(shape) < 2 or shape[0] != len(inputs[0]):
            raise PackInvalid(
                f"{self._network.described_as} gives {'×'.join(map(str, shape)) or 'one number'} for "
                f"{len(inputs[0])} pictures, not a vector for each: is it an embedder?"
            )
        return outputs
