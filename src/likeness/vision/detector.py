"""What a detector finds, and how its findings are picked and put together."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from likeness.vision.suppression import areas, overlaps

#: Findings of two searches that overlap by more are one face.
SAME_FACE_OVERLAP = 0.3


def _mean_face() -> NDArray[np.complex128]:
    """The five points of the mean upright face as complex numbers, centred, of unit norm.

    Where CenterFace's points fall on an aligned chip, averaged over LFW, and made symmetrical.
    """
    points = np.array([-27.4 - 27.1j, 27.4 - 27.1j, 5.0j, -23.4 + 29.8j, 23.4 + 29.8j])
    points -= points.mean()
    return np.asarray(points / np.linalg.norm(points))


def _onto_mean_face() -> NDArray[np.float64]:
    """What five points (10,) as x, y, x, y ... are multiplied with to be centred (10), and then the factor, real and
    imaginary part, by which the mean face is turned and enlarged to lie on them.
    """
    centre = np.eye(10) - np.kron(np.full((5, 5), 1 / 5), np.eye(2))
    # (x + iy) times the conjugate of (a + ib); the mean face is centred, so where the points lie does not matter.
    face = _mean_face()
    fit = [[[point.real, -point.imag], [point.imag, point.real]] for point in face]
    return np.concatenate([centre, np.reshape(fit, (10, 2))], axis=1)


_ONTO_MEAN_FACE = _onto_mean_face()


@dataclass(frozen=True)
class Detections:
    """Faces in pixels of the picture they were found in, best score first.

    `boxes` (N, 4) float32 as x1, y1, x2, y2, which may leave the picture; `scores` (N,) float32, 0 to 1; `points`
    (N, 5, 2) float32 as x, y: left eye, right eye, nose, left and right mouth corner, left as one sees it with the
    face upright. Coordinates are continuous: the first pixel reaches from 0 to 1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        return type(self)(self.boxes[which], self.scores[which], self.points[which])

    def scaled(self, across: float, down: float) -> Self:
        """The same faces in a picture `across` times as wide and `down` times as high."""
        factors = np.array([across, down, across, down], np.float32)
        return type(self)(self.boxes * factors, self.scores, self.points * factors[:2])

    @cached_property
    def leaning(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far each face leans, and how unlike an ordinary face its points lie: (N,) degrees, (N,) 0 to 1.

        From the similarity transform that lays the mean face on the points. Degrees from -180 to 180, clockwise
        positive, within 15 for faces up to 60 degrees. The second is the share of the points' spread that the mean face
        does not explain: 0.01 on portraits, under 0.09 on 99 of 100 faces of LFW, more on profiles and where the points
        are wrong, as on faces upside down.
        """
        # One product: each array operation costs ten times its arithmetic when a network has just filled the caches.
        seen = self.points.reshape(-1, 10) @ _ONTO_MEAN_FACE
        centred, fit_x, fit_y = seen[:, :10], seen[:, 10], seen[:, 11]
        explained = (fit_x * fit_x + fit_y * fit_y) / np.maximum(np.einsum("ij,ij->i", centred, centred), 1e-9)
        rolls_deg = np.degrees(np.arctan2(fit_y, fit_x))
        return rolls_deg.astype(np.float32), np.maximum(1 - explained, 0).astype(np.float32)


class Detector(Protocol):
    """One family of networks, fed and read."""

    @property
    def seen_well_px(self) -> float:
        """From this width on, px of the search, the points of a face are as good as those of larger ones."""
        ...

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """The faces in RGB pixels (height, width, 3) of any size, searched at just this size."""
        ...


def largest(faces: Detections, count: int) -> Detections:
    """The `count` faces with the largest boxes, largest first; equals keep their order."""
    return faces[np.argsort(-areas(faces.boxes), kind="stable")[:count]]


def united(searches: Iterable[Detections]) -> Detections:
    """The faces of several searches of one photo; where two overlap, that of the earlier search stays."""
    first, *others = searches
    for other in others:
        if len(first) and len(other):
            other = other[overlaps(other.boxes, first.boxes).max(axis=1) < SAME_FACE_OVERLAP]
        first = Detections(
            np.concatenate([first.boxes, other.boxes]),
            np.concatenate([first.scores, other.scores]),
            np.concatenate([first.points, other.points]),
        )
    return first[np.argsort(-first.scores, kind="stable")]
