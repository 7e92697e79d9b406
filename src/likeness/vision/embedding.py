"""Chips → vectors: the network fed as it was trained, and several views of one face averaged."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.vision.network import Network, fed

#: Views that one run of the network takes: a run of eight costs a sixth less a view than a run of one, and its memory
#: stays small. Measured: a view's vector is the same to the last bit in runs of 1, 2, 4, 8 and 16.
_VIEWS_A_RUN = 8


#: What the length of a face's vector says. "agreement": how far its views agree, as each of them has length one.
#: "certainty": how sure the network is as well, for its vectors are averaged as they are. Networks trained with a
#: margin between people give faces that they recognise easily longer vectors, blurred, small, turned and covered ones
#: shorter (Kim, Jain, Liu, "AdaFace: Quality Adaptive Margin for Face Recognition", CVPR 2022, section 3.2).
Lengths = Literal["agreement", "certainty"]


class Embedder:
    """Turns views of faces into vectors. A face's vector is their mean, see `mean_views`.

    `network` takes pictures of S×S and answers (B, D). `mean` and `scale` are taken off and divided by, in the order of
    the chips' channels; ValueError where they are given and the network takes bytes. `lengths` says whether the vectors
    are brought to length one.
    """

    def __init__(
        self,
        network: Network,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        scale: float = 1.0,
        lengths: Lengths = "agreement",
    ) -> None:
        self._network = network
        self._lengths = lengths
        self._mean = np.asarray(mean, dtype=np.float32)
        self._factor = np.float32(1.0 / scale)
        self._shifted = bool(self._mean.any()) or scale != 1.0
        if self._shifted and network.takes_bytes:
            raise ValueError("the network takes bytes as they are: mean must be 0, 0, 0 and scale 1")

    def views(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The vectors (N, D) float32 of N views (N, S, S, 3) uint8, the same in any company."""
        starts = range(0, len(chips), _VIEWS_A_RUN)
        vectors = np.concatenate([self._run(chips[start : start + _VIEWS_A_RUN]) for start in starts])
        return unit(vectors) if self._lengths == "agreement" else vectors

    def _run(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        pictures = fed(self._network, chips)
        if self._shifted:
            pictures = (pictures - self._mean[:, np.newaxis, np.newaxis]) * self._factor
        return self._network(pictures)[0]


def mean_views(runs: Sequence[NDArray[np.float32]], faces: int) -> NDArray[np.float32]:
    """The vectors (N, D) of so many faces from those of their views, face by face, in runs (R, D) of the embedder.

    Each face has as many views; no faces give (0, 0).

    The cosine of two says how alike the faces are. The length of MobileFaceNet's vectors is 50 for the one face in a
    hundred of lfw-dev that it is least sure of, and 70 for most.
    """
    if not faces:
        return np.zeros((0, 0), dtype=np.float32)
    views = np.concatenate(runs)
    return np.asarray(views.reshape(faces, -1, views.shape[1]).mean(axis=1), np.float32)


def unit(vectors: ArrayLike) -> NDArray[np.float32]:
    """`vectors` (..., D) scaled to length one; a vector of length zero stays zero."""
    values = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)
