"""A photo and what was found in it → measured faces: landmarks fitted, pose taken, quality as it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.faces import Pose, Quality
from likeness.image import REDUCTIONS, Image, Reduction
from likeness.pyramid import Pyramid
from likeness.stopwatch import Stopwatch
from likeness.threads import Crew
from likeness.vision import geometry
from likeness.vision.detection import Detections, confidences
from likeness.vision.mesh import FaceMesh, Mesh
from likeness.vision.pose import poses_of_meshes, poses_of_points
from likeness.vision.quality import QualityBar, measure_quality

#: A face whose detected box has this longer side, px, shows its mesh's crop (192 px across 1.39 boxes) and its chip all
#: the detail that they can take in; a smaller one is looked at in a finer decoding of the photo, where there is one.
_DETAILED_BOX_PX = 140.0


@dataclass(frozen=True, eq=False)
class MeasuredFace:
    """One face of a photo.

    It is looked at in `photo`, which is decoded at 1 / `reduction`; the detector's `box` (4,) and `points` (5, 2), the
    `mesh` and the `service_box` (4,) that the answer shows are in px of that decoding.
    """

    photo: Pyramid
    reduction: Reduction
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    mesh: FaceMesh | None
    service_box: NDArray[np.float64]
    pose: Pose
    confidence: float

    @cached_property
    def quality(self) -> Quality:
        """How well the face can be seen, measured when it is first asked for."""
        return measure_quality(self.photo, self.service_box)[0]

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The five points (5, 2) px that the answer shows: the mesh's where it fits, else the detector's."""
        return self.mesh.landmarks if self.mesh else self.points

    @property
    def width_px(self) -> float:
        """The width of the box that the answer shows, px of the full photo."""
        return float(self.service_box[2] - self.service_box[0]) * self.reduction

    def passes(self, bar: QualityBar) -> bool:
        """Whether the face is as good as `bar` asks."""
        return bar.passes(self.quality, self.pose, face_width_px=self.width_px, confidence=self.confidence)


def measure(
    engine: Engine, image: Image, working: Reduction, detections: Detections, watch: Stopwatch, crew: Crew
) -> list[MeasuredFace]:
    """The faces of `detections` (px of the photo at 1 / `working`), each looked at as finely as it needs."""
    sides_px = (detections.boxes[:, 2:] - detections.boxes[:, :2]).max(axis=1)
    detailed = sides_px >= _DETAILED_BOX_PX
    finer = finer_reduction(working, float(sides_px.min(initial=np.inf)))
    measured: dict[int, MeasuredFace] = {}
    for reduction, indices in ((working, np.flatnonzero(detailed)), (finer, np.flatnonzero(~detailed))):
        if len(indices) == 0:
            continue
        with watch.stage("decode"):
            photo = image.pyramid(reduction)
        some = detections[indices].scaled(working / reduction, working / reduction)
        measured |= zip(indices.tolist(), _look(engine, photo, reduction, some, watch, crew), strict=True)
    return [measured[index] for index in sorted(measured)]


def finer_reduction(working: Reduction, smallest_px: float) -> Reduction:
    """The coarsest decoding, `working` at most, in which a box whose longer side is `smallest_px`, px at 1 / `working`,
    is looked at in all the detail that is of use; 1 where there is none.
    """
    detail = min(smallest_px / _DETAILED_BOX_PX, 1.0)
    return next((each for each in REDUCTIONS if each <= working * detail), 1)


def _look(
    engine: Engine,
    photo: Pyramid,
    reduction: Reduction,
    detections: Detections,
    watch: Stopwatch,
    crew: Crew,
) -> list[MeasuredFace]:
    """The measured faces of `detections`, px of `photo`, which is decoded at 1 / `reduction`."""
    with watch.stage("mesh"):
        meshes = _meshes(engine.mesh, photo, detections, crew)
        landmarks = [mesh.landmarks if mesh else points for mesh, points in zip(meshes, detections.points, strict=True)]
        poses = _poses(meshes, detections.points)
        boxes = geometry.service_boxes(np.stack(landmarks), poses)
    return [
        MeasuredFace(photo, reduction, *parts)
        for parts in zip(
            detections.boxes,
            detections.points,
            meshes,
            boxes,
            poses,
            confidences(detections.scores),
            strict=True,
        )
    ]


def _meshes(mesh: Mesh | None, photo: Pyramid, detections: Detections, crew: Crew) -> Sequence[FaceMesh | None]:
    """The mesh of each face; None where it does not fit, and where the pack has no mesh at all."""
    if mesh is None:
        return [None] * len(detections)
    return crew.map(
        lambda face: mesh.measure(photo, detections.boxes[face], detections.points[face])[0], range(len(detections))
    )


def _poses(meshes: Sequence[FaceMesh | None], points: NDArray[np.float32]) -> list[Pose]:
    """The pose of each face: by its mesh where it fits, by the detector's points where it does not."""
    fitting = [mesh.points for mesh in meshes if mesh is not None]
    by_mesh = iter(poses_of_meshes(np.stack(fitting)) if fitting else [])
    by_points = iter(poses_of_points(points[[mesh is None for mesh in meshes]]))
    return [next(by_points if mesh is None else by_mesh) for mesh in meshes]
