"""The 468-point face mesh: where every part of a face lies, in three dimensions.

The network is MediaPipe's face landmark model (Kartynnik et al., "Real-time Facial Surface Geometry from Monocular
Video on Mobile GPUs", 2019). It sees a square crop, 1.5 times the face, turned so that the eyes are level. Here each
face is looked at twice: once to find the crop, and once, with its mirror image beside it, to measure. The mean of
both views has no preferred side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.threads import NOBODY, Crew
from likeness.vision.alignment import similarity_transform, warp_chip
from likeness.vision.mesh_model import MESH_POINTS, MIRROR
from likeness.vision.network import Network

CROP_SIZE_PX = 192

#: Where a detector's five points fall on the network's crop (left eye, right eye, nose, mouth corners): the median
#: over lfw-dev of CenterFace's points on the crops that the mesh itself asks for, made symmetric.
CROP_TEMPLATE: NDArray[np.float64] = np.array(
    [[71.1, 72.7], [120.9, 72.7], [96.0, 100.5], [75.3, 122.3], [116.7, 122.3]], dtype=np.float64
)
#: The crop's side over the longer side of the detector's box (median over lfw-dev, as above), and over the mesh's own
#: (MediaPipe).
_CROP_PER_DETECTED_SIDE = 1.386
_CROP_PER_MESH_SIDE = 1.5

#: A mesh under this presence (MediaPipe's own bar) is none.
LEAST_PRESENCE = 0.5
#: Nor is one whose five landmarks lie farther from the detector's than this, mean distance over the crop's side.
MOST_DISAGREEMENT = 0.06

_LEFT_EYE, _RIGHT_EYE = (33, 133), (362, 263)
_NOSE_TIP, _NOSE_RIDGE = 1, 4
_LEFT_MOUTH, _RIGHT_MOUTH = 61, 291


@dataclass(frozen=True, slots=True, eq=False)
class FaceMesh:
    """One face's mesh.

    `points` is (468, 3) float32: x and y in px of the photo (the first pixel reaches from 0 to 1), z in the same
    unit, smaller is nearer. `landmarks` is (5, 2) float32 px: left eye, right eye, nose, left and right mouth corner,
    left being the picture's left on an upright face. `presence` is the network's belief, 0 to 1, that there is a
    face.
    """

    points: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    presence: float


class Mesh:
    """Fits the mesh to faces that a detector found.

    `network` takes (1, 3, 192, 192) float32 RGB, 0 to 1, and answers the points, (1, 1404) in px of the crop, and the
    presence, (1, 1), as a logit. Without `refine` the crop is taken from the detector alone: a third of the work
    less, the mesh half as steady.
    """

    def __init__(self, network: Network, *, refine: bool = True) -> None:
        self._network = network
        self._refine = refine

    def measure(
        self, pixels: NDArray[np.uint8], boxes: ArrayLike, points: ArrayLike, crew: Crew = NOBODY
    ) -> list[FaceMesh | None]:
        """The mesh of each face, or None where it does not fit and the detector's own points are the better ones.

        `pixels` is (height, width, 3) uint8 RGB; `boxes` (N, 4) x1, y1, x2, y2 px and `points` (N, 5, 2) px are the
        detector's. `crew` takes the mirror image where it has nothing else to do.
        """
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        points = np.asarray(points, dtype=np.float64).reshape(-1, 5, 2)
        if len(boxes) == 0:
            return []
        transforms = [detected_crop(box, five) for box, five in zip(boxes, points, strict=True)]
        if self._refine:
            first, _ = self._run(pixels, transforms, NOBODY, mirrored=False)
            transforms = [mesh_crop(mesh) for mesh in first]
        meshes, presences = self._run(pixels, transforms, crew, mirrored=True)
        landmarks = five_landmarks(meshes)
        sides_px = np.array([CROP_SIZE_PX / _scale(transform) for transform in transforms])
        disagreements = np.linalg.norm(landmarks - points, axis=2).mean(axis=1) / sides_px
        fits = (presences >= LEAST_PRESENCE) & (disagreements <= MOST_DISAGREEMENT)
        return [
            FaceMesh(mesh.astype(np.float32), five.astype(np.float32), float(presence)) if fit else None
            for mesh, five, presence, fit in zip(meshes, landmarks, presences, fits, strict=True)
        ]

    def _run(
        self, pixels: NDArray[np.uint8], transforms: Sequence[NDArray[np.float64]], crew: Crew, *, mirrored: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Meshes (N, 468, 3) in px of the photo and presences (N,) for the crops that `transforms` cut; if `mirrored`,
        means over each crop and its mirror image.

        Each view is run by itself: on a processor that is faster than any batch (measured: 1.0 ms a crop, 1.6 ms in
        batches of 16), and a face has the same mesh in every company, to the last bit.
        """
        meshes, presences = np.empty((len(transforms), MESH_POINTS, 3)), np.empty(len(transforms))
        for place, transform in enumerate(transforms):
            crop = warp_chip(pixels, _between_pixel_centres(transform), CROP_SIZE_PX)
            looks = crew.map(self._look, [crop, crop[:, ::-1]] if mirrored else [crop])
            meshes[place], presences[place] = looks[0]
            if mirrored:
                mesh, presence = looks[1]
                meshes[place] = (meshes[place] + mesh[MIRROR] * (-1, 1, 1) + (CROP_SIZE_PX, 0, 0)) / 2
                presences[place] = (presences[place] + presence) / 2
        return _to_photo(meshes, transforms), presences

    def _look(self, crop: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float]:
        """The mesh (468, 3) in px of the crop, and the presence, of one crop (192, 192, 3) uint8 RGB."""
        fed = np.ascontiguousarray(crop.transpose(2, 0, 1)[np.newaxis], dtype=np.float32) * np.float32(1 / 255)
        points, presence = self._network(fed)
        logit = float(np.clip(presence.ravel()[0], -60.0, 60.0))
        return points.reshape(MESH_POINTS, 3).astype(np.float64), 1.0 / (1.0 + np.exp(-logit))


def five_landmarks(meshes: NDArray[np.floating]) -> NDArray[np.float64]:
    """The five landmarks (N, 5, 2) px of meshes (N, 468, 3), in the detector's order.

    An eye is midway between its corners. The nose's tip lies a third of the way from mesh point 1 to point 4: there
    the median ratio of (nose - eyes) to (mouth - eyes) over lfw-dev is 0.56, which is both CenterFace's and, at pitch
    0, the service's (section 5.5).
    """
    flat = np.asarray(meshes, dtype=np.float64)[..., :2]
    nose = (2 * flat[:, _NOSE_TIP] + flat[:, _NOSE_RIDGE]) / 3
    eyes = flat[:, _LEFT_EYE].mean(axis=1), flat[:, _RIGHT_EYE].mean(axis=1)
    return np.stack([*eyes, nose, flat[:, _LEFT_MOUTH], flat[:, _RIGHT_MOUTH]], axis=1)


def detected_crop(box: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """The crop of a face known by its detector's box (4,) and points (5, 2), px: (2, 3), photo to crop.

    Turn from the points; centre and size midway between what points and box say: of a turned head, points shrink
    together and boxes do not; of a turned photo, boxes grow and points do not.
    """
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64)
    box_side_px = max(_CROP_PER_DETECTED_SIDE * max(x2 - x1, y2 - y1), 1.0)
    five = np.asarray(points, dtype=np.float64)
    by_points = similarity_transform(five, CROP_TEMPLATE)
    turn_rad = float(np.arctan2(by_points[1, 0], by_points[0, 0]))
    # Points that nearly coincide say nothing of size.
    side_px = float(np.clip(CROP_SIZE_PX / _scale(by_points), box_side_px / 3, box_side_px * 3))
    off_centre = (CROP_SIZE_PX / 2 - CROP_TEMPLATE.mean(axis=0)) * (side_px / CROP_SIZE_PX)
    centre = five.mean(axis=0) + _turn(turn_rad).T @ off_centre
    box_centre = np.array([x1 + x2, y1 + y2]) / 2
    return _crop((centre + box_centre) / 2, float(np.sqrt(side_px * box_side_px)), turn_rad)


def mesh_crop(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """The crop of a face known by its mesh (468, 3): 1.5 times the mesh's longer side, the eyes level (MediaPipe's
    own rule).
    """
    flat = np.asarray(mesh, dtype=np.float64)[:, :2]
    along = flat[_RIGHT_EYE[1]] - flat[_LEFT_EYE[0]]
    turn_rad = -float(np.arctan2(along[1], along[0]))
    turn = _turn(turn_rad)
    level = flat @ turn.T
    low, high = level.min(axis=0), level.max(axis=0)
    side_px = max(_CROP_PER_MESH_SIDE * float((high - low).max()), 1.0)
    return _crop(turn.T @ ((low + high) / 2), side_px, turn_rad)


def _crop(centre: NDArray[np.float64], side_px: float, turn_rad: float) -> NDArray[np.float64]:
    matrix = _turn(turn_rad) * (CROP_SIZE_PX / side_px)
    return np.column_stack([matrix, np.full(2, CROP_SIZE_PX / 2) - matrix @ centre])


def _turn(angle_rad: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def _scale(transform: NDArray[np.float64]) -> float:
    """Crop px per photo px."""
    return max(float(np.hypot(transform[0, 0], transform[1, 0])), 1e-9)


def _between_pixel_centres(transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """`transform` counts from the pictures' edges, as detectors and the network do; warping counts from the first
    pixels' centres.
    """
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ (0.5, 0.5) - 0.5
    return moved


def _to_photo(meshes: NDArray[np.float64], transforms: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Meshes on their crops as meshes on the photo."""
    matrices = np.stack(transforms)
    scales = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    flat = meshes[..., :2] - matrices[:, np.newaxis, :, 2]
    in_photo = np.einsum("nij,npj->npi", np.linalg.inv(matrices[:, :, :2]), flat)
    return np.concatenate([in_photo, meshes[..., 2:] / scales[:, np.newaxis, np.newaxis]], axis=2)
