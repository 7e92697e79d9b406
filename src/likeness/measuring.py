"""A photo and what was found in it → measured faces: landmarks fitted; pose, box and quality as they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from likeness.crew import Crew, Once
from likeness.engine import Engine
from likeness.faces import Pose, Quality
from likeness.image import REDUCTIONS, Image, Reduction
from likeness.pyramid import Pyramid
from likeness.stopwatch import Stopwatch
from likeness.vision import geometry
from likeness.vision.detection import Detections
from likeness.vision.findings import confidences
from likeness.vision.mesh import FaceMesh, Mesh
from likeness.vision.pose import poses_of_meshes, poses_of_points
from likeness.vision.quality import QualityBar, measure_quality

#: A face whose detected box has this longer side, px, shows its mesh's crop (192 px across 1.39 boxes) and its chip all
#: the detail that they can take in; a smaller one is looked at in a finer decoding of the photo, where there is one.
_DETAILED_BOX_PX = 140.0


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """What the answer and the quality filter ask of a face, and no network.

    `service_box` (4,) is the box that the answer shows, px of the decoding that the face is looked at in.
    """

    pose: Pose
    service_box: NDArray[np.float64]
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFace:
    """One face of a photo.

    It is looked at in `photo`, which is decoded at 1 / `reduction`; the detector's `box` (4,) and `points` (5, 2) and
    the `mesh` are in px of that decoding. `appearance` is found when it is first asked for: embedders do not wait for
    it.
    """

    photo: Pyramid
    reduction: Reduction
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    mesh: FaceMesh | None
    confidence: float
    appearance: Once[Appearance]

    @property
    def pose(self) -> Pose:
        """How the head is turned."""
        return self.appearance().pose

    @property
    def service_box(self) -> NDArray[np.float64]:
        """The box (4,) that the answer shows."""
        return self.appearance().service_box

    @property
    def quality(self) -> Quality:
        """How well the face can be seen."""
        return self.appearance().quality

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
    finer = finer_reduction(working, float(sides_px.min(initial=np.inf)))
    if finer == working:
        return _look(engine, image.pyramid(working), working, detections, watch, crew)
    detailed = sides_px >= _DETAILED_BOX_PX
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
    found = zip(detections.boxes, detections.points, meshes, confidences(detections.scores).tolist(), strict=True)
    return [
        MeasuredFace(photo, reduction, box, points, mesh, sure, Once(partial(_appearance, photo, points, mesh)))
        for box, points, mesh, sure in found
    ]


def _meshes(mesh: Mesh | None, photo: Pyramid, detections: Detections, crew: Crew) -> Sequence[FaceMesh | None]:
    """The mesh of each face; None where it does not fit, and where the pack has no mesh at all."""
    if mesh is None:
        return [None] * len(detections)
    return crew.map(
        lambda face: mesh.measure(photo, detections.boxes[face], detections.points[face])[0], range(len(detections))
    )


def _appearance(photo: Pyramid, points: NDArray[np.float32], mesh: FaceMesh | None) -> Appearance:
    """Of a face with the detector's `points` (5, 2); its mesh says more, where it fits."""
    (pose,) = poses_of_meshes(mesh.points) if mesh else poses_of_points(points)
    (box,) = geometry.service_boxes(mesh.landmarks if mesh else points, [pose])
    (quality,) = measure_quality(photo, box)
    return Appearance(pose, box, quality)
