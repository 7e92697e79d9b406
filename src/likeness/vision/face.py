"""One detection → a measured face, and its description in the answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.faces import Face, Pose, Quality
from likeness.vision import geometry
from likeness.vision.detection import Detections, confidences
from likeness.vision.expression import emotions, happiness, read_smile
from likeness.vision.mesh import FaceMesh
from likeness.vision.pose import pose_of_mesh, pose_of_points
from likeness.vision.pyramid import Pyramid, Size
from likeness.vision.quality import QualityBar, measure_quality


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFace:
    """One face as it is measured, px of the photo; `points` (5, 2) are the detector's, `box` (4,) the service's."""

    points: NDArray[np.float32]
    mesh: FaceMesh | None
    pose: Pose
    box: NDArray[np.float64]
    quality: Quality
    confidence: float

    @property
    def alignment(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The points that a chip is cut by: the detector's, and the mesh's (468, 3) if it fits."""
        return self.points, self.mesh.points if self.mesh else None

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The five landmarks (5, 2): the mesh's, or the detector's where no mesh fits."""
        return self.mesh.landmarks if self.mesh else self.points

    def passes(self, bar: QualityBar) -> bool:
        """Whether the face is as good as a quality filter requires."""
        width_px = float(self.box[2] - self.box[0])
        return bar.passes(self.quality, self.pose, face_width_px=width_px, confidence=self.confidence)


def measure_face(photo: Pyramid, detection: Detections, mesh: FaceMesh | None) -> MeasuredFace:
    """One detection measured, by its mesh if one fits."""
    points = detection.points[0]
    pose = pose_of_mesh(mesh.points) if mesh else pose_of_points(points)
    box = geometry.service_box(mesh.landmarks if mesh else points, pose)
    confidence = float(confidences(detection.scores)[0])
    return MeasuredFace(points, mesh, pose, box, measure_quality(photo, box), confidence)


def describe_face(size: Size, face: MeasuredFace, log_probabilities: NDArray[np.float64] | None) -> Face:
    """The answer's description of a face in a photo of `size`, with emotions and smile if its expression was read."""
    ranked_emotions = smile = None
    if log_probabilities is not None:
        ranked_emotions, smile = emotions(log_probabilities), read_smile(face.mesh, happiness(log_probabilities))
    box, landmarks = geometry.bounding_box(face.box, *size), geometry.landmarks(face.landmarks, *size)
    return Face(box, face.confidence, landmarks, face.pose, face.quality, ranked_emotions, smile)
