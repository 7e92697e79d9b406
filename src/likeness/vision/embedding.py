"""Chips → unit vectors: the network fed as it was trained, and several views of one face averaged."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.vision.network import Network


class Embedder:
    """Turns face chips into vectors whose cosine says how alike the faces are.

    `network` takes (V, 3, S, S) float32 and answers (V, D). `mean` and `scale` are taken off and divided by, R, G, B. With `mirror`,
    the chip and its mirror image are both embedded and their vectors averaged: a face is as like its mirror image as the two halves of the
    network's errors are unlike each other.
    """

    def __init__(
        self,
        network: Network,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        scale: float = 1.0,
        mirror: bool = True,
    ) -> None:
        self._network = network
        self._mean = np.asarray(mean, dtype=np.float32)
        self._factor = np.float32(1.0 / scale)
        self._mirror = mirror

    def embed(self, chips: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The vectors of `chips`, (N, S, S, 3) uint8 RGB, as (N, D) float32 of unit length; (0, 0) for no chips.

        Each chip is run by itself, not in one batch: a face then has the same vector in every company, to the last bit, and the memory
        used does not grow with the number of faces.
        """
        vectors = [self._embed_one(np.asarray(chip)) for chip in chips]
        return np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)

    def _embed_one(self, chip: NDArray[np.uint8]) -> NDArray[np.float32]:
        views = np.stack([chip, chip[:, ::-1]]) if self._mirror else chip[np.newaxis]
        fed = (views.astype(np.float32) - self._mean) * self._factor
        outputs = self._network(np.ascontiguousarray(fed.transpose(0, 3, 1, 2)))[0]
        return unit(unit(outputs).mean(axis=0))


def unit(vectors: ArrayLike) -> NDArray[np.float32]:
    """`vectors` (..., D) scaled to length one; a vector of length zero stays zero."""
    values = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)
