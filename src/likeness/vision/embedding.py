"""Faces → vectors: chips cut as the embedder wants them, the network fed as it was trained, views averaged."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.errors import PackInvalid
from likeness.vision.alignment import Aligner
from likeness.vision.network import Network, fed
from likeness.vision.pyramid import Pyramid

#: The meaning of the length of a face's vector. "agreement": how far its views agree, as each is normalised to length
#: one. "certainty": also how certain the network is, as its vectors are averaged without normalisation: networks
#: trained with a margin loss give blurred, small, turned and covered faces shorter vectors (Kim, Jain, Liu, "AdaFace",
#: CVPR 2022, section 3.2).
Lengths = Literal["agreement", "certainty"]


class Embedder:
    """Turns faces into vectors.

    `aligner` cuts the chips, RGB, or BGR if `reversed_colours`. `network` takes pictures of S×S and answers (B, D).
    `normalised` is the mean, in the order of its channels, and the scale; ValueError for those of a network of bytes.
    """

    def __init__(
        self,
        network: Network,
        aligner: Aligner,
        *,
        normalised: tuple[Sequence[float], float] = ((0.0, 0.0, 0.0), 1.0),
        reversed_colours: bool = False,
        lengths: Lengths = "agreement",
    ) -> None:
        self.aligner = aligner
        self._network = network
        self._lengths = lengths
        self._reversed = reversed_colours
        mean, scale = normalised
        self._mean = np.asarray(mean, dtype=np.float32)
        self._factor = np.float32(1.0 / scale)
        if network.takes_bytes and (self._mean.any() or scale != 1.0):
            raise ValueError("the network takes bytes as they are: mean must be 0, 0, 0 and scale 1")

    def chips(self, photo: Pyramid, points: ArrayLike, mesh_points: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """The views (V, S, S, 3) of a face as the network wants them; arguments as for `Aligner.cut`."""
        chips = self.aligner.cut(photo, points, mesh_points)
        return chips[..., ::-1] if self._reversed else chips

    def vectors(self, chips: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The vectors (N, D) float32 of N faces from the chips (V, S, S, 3) of each: the mean of its views'.

        PackInvalid if one is not finite: without it, the answer would be of a photo without that face.
        """
        pictures = fed(self._network, np.concatenate(chips))
        if not self._network.takes_bytes:
            pictures = (pictures - self._mean[:, np.newaxis, np.newaxis]) * self._factor
        views = self._network(pictures)[0].reshape(len(pictures), -1)  # some give (B, D, 1, 1)
        if not np.isfinite(views).all():
            raise PackInvalid("the embedder gives NaN or infinity for a face: its weights or their input are wrong")
        if self._lengths == "agreement":
            views = unit(views)
        return np.asarray(views.reshape(len(chips), -1, views.shape[1]).mean(axis=1), np.float32)


def unit(vectors: ArrayLike) -> NDArray[np.float32]:
    """`vectors` (..., D) scaled to length one; a vector of length zero stays zero."""
    values = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)
