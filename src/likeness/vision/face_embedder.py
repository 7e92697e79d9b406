"""One embedder, and the looks at a face that it wants: a photo and the face's points in, a vector for each look out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.pyramid import Picture
from likeness.vision.alignment import Aligner
from likeness.vision.embedding import Embedder
from likeness.vision.mesh import FaceMesh


@dataclass(frozen=True, slots=True)
class FaceEmbedder:
    """An embedder with the aligner that cuts its chips, whose channels it wants in reverse where `reversed_colours`."""

    aligner: Aligner
    embedder: Embedder
    reversed_colours: bool = False

    @property
    def looks(self) -> int:
        """The views of one face."""
        return len(self.aligner.views)

    def chips(self, photo: Picture, points: NDArray[np.float32], mesh: FaceMesh | None) -> NDArray[np.uint8]:
        """The views (V, S, S, 3) uint8 of a face, as the embedder wants them.

        `photo` is (height, width, 3) uint8 RGB, `points` (5, 2) px are the detector's, `mesh` the face's mesh or None
        where it does not fit.
        """
        chips = self.aligner.cut(photo, points, mesh.points if mesh else None)
        return chips[..., ::-1] if self.reversed_colours else chips

    def views(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The vectors (N, D) float32 of so many views."""
        return self.embedder.views(chips)
