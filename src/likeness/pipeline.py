"""One photo → its faces with vectors: decode, detect, measure, filter, align and embed, attributes.

`analyse` is this flow from top to bottom; each step is a function or a small class in `likeness.image` or
`likeness.vision` that knows none of the others.
"""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.executor import Map, in_turn
from likeness.faces import Face, OrientationCorrection, Pose, Quality, QualityFilter
from likeness.image import Image, Reduction
from likeness.stages import stage
from likeness.vision import geometry
from likeness.vision.detection import CERTAIN_SCORE, Detections, confidences, find_faces, merged
from likeness.vision.expression import ExpressionReader, read_smile
from likeness.vision.mesh import FaceMesh, Mesh
from likeness.vision.pose import pose_of_mesh, pose_of_points
from likeness.vision.pyramid import Pyramid, Size
from likeness.vision.quality import QualityBar, measure_quality
from likeness.vision.suppression import areas
from likeness.vision.turned import roll_deg, seen_upright, turned, turned_back

#: Which of several faces a photo is about: the largest, as in the operation, or, for sets of photos cut out around the
#: person in their label, the one nearest to the middle that is not much smaller.
Preference = Literal["largest", "central"]
#: How much smaller the central face may be than the largest, in area.
_CENTRAL_AREA = 0.25
#: A face whose detected box has this longer side, px, gives the mesh's crop (192 px across 1.37 boxes) and the chip all
#: the detail that they can hold.
_DETAILED_BOX_PX = 140.0
#: A face with this score, whose points lean by no more than this, stands upright; others are searched each way up.
_UPRIGHT_SCORE, _UPRIGHT_DEG = 0.905, 12.0
#: The points of a face that leans further than this in an upright photo are inexact.
_LEANING_DEG = 20.0
#: Views in one run of the embedder: MobileFaceNet takes 0.9 to 0.98 of the time of single views, and as long for eight.
_VIEWS_A_RUN = 4
_CORRECTIONS: tuple[OrientationCorrection, ...] = ("ROTATE_0", "ROTATE_90", "ROTATE_180", "ROTATE_270")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a photo: the `most` largest of the faces that pass the quality filter.

    With `most` 1, as for a source photo, only the face that the photo is about (`prefer`): no other may take its place.
    """

    most: int
    quality_filter: QualityFilter = "NONE"
    search_rotations: bool = True
    attributes: bool = False
    prefer: Preference = "largest"


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedPhoto:
    """A photo's `faces`, largest first, and their `vectors` (N, D) float32; how many were `found` before any filter.

    `main` is the place among `faces` of the one that the photo is about (Preference); None if the quality filter
    rejects it. Turned clockwise by `quarter_turns` right angles, the photo has its faces upright.
    """

    image: Image
    faces: tuple[Face, ...]
    vectors: NDArray[np.float32]
    found: int
    quarter_turns: int
    main: int | None = None

    @property
    def orientation_correction(self) -> OrientationCorrection | None:
        """How far the photo is turned counterclockwise, as the service's API until 2021 estimated it (decision 3); None
        if EXIF says it.
        """
        return None if self.image.orientation != 1 else _CORRECTIONS[self.quarter_turns]


def analyse(engine: Engine, image: Image, wanted: Wanted, spread: Map = in_turn) -> AnalysedPhoto:
    """The faces of a photo that are wanted, with their vectors; `spread` distributes the faces of a stage.

    A stage is done for all faces before the next begins, so that the weights of its network stay in the caches.
    """
    photo = decoded(image)
    detections, quarter_turns = find(engine, photo, wanted.search_rotations)
    detections = detections[_order(detections, wanted.prefer, photo.size)]
    # The smallest face decides how finely the photo is decoded.
    photo.decode_for(_DETAILED_BOX_PX / float(detections.sides_px.min(initial=np.inf)))
    mesh, bar = engine.mesh, engine.quality_bar(wanted.quality_filter)
    # Faces that the filter rejects are replaced by smaller ones, except the one face of a source photo.
    candidates = range(len(detections) if bar and wanted.most > 1 else min(wanted.most, len(detections)))
    with stage("mesh"):
        measured = spread(lambda place: _measured(mesh, photo, detections[place : place + 1]), candidates)
    passing = [place for place in candidates if not bar or measured[place].passes(bar)]
    sizes = areas(detections.boxes)
    places = sorted(passing[: wanted.most], key=lambda place: -sizes[place])
    faces = [measured[place] for place in places]
    embedder = engine.embedder
    with stage("embed"):
        a_run = max(1, min(_VIEWS_A_RUN // len(embedder.aligner.views), -(-len(faces) // 2)))
        runs = [faces[start : start + a_run] for start in range(0, len(faces), a_run)]
        vectors = spread(lambda run: embedder.vectors([embedder.chips(photo, *face.alignment) for face in run]), runs)
    with stage("attributes"):
        expressions = engine.expressions if wanted.attributes else None
        described = spread(lambda face: _described(expressions, photo, face), faces)
    return AnalysedPhoto(
        image,
        tuple(described),
        np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32),
        len(detections),
        quarter_turns,
        places.index(0) if 0 in places else None,
    )


def decoded(image: Image) -> Pyramid:
    """The pixels of a photo, decoded when they are first needed."""

    @stage("decode")
    def decode(halvings: int) -> NDArray[np.uint8]:
        return image.pixels(cast(Reduction, 2**halvings))

    return Pyramid((image.width, image.height), decode)


def find(engine: Engine, photo: Pyramid, search_rotations: bool = True) -> tuple[Detections, int]:
    """The faces of a photo, px of the photo, and the clockwise quarter turns that set them upright (decision 14).

    The photo is searched as it stands, and at the other right angles where nothing is found. Where the main face is not
    clearly upright, the photo is searched again at the right angle at which that face is found best.
    """
    found, turns = _searched(engine, photo, 0), 0
    if not search_rotations:
        return found, 0
    if not len(found):
        found, of = merged([_fitting(engine, photo, _searched(engine, photo, turns)) for turns in (1, 2, 3)])
        if not len(found):
            return found, 0
        turns = 1 + int(of[_main(found)])
    main = _main(found)
    if found.scores[main] >= _UPRIGHT_SCORE and _off_upright_deg(found.points[main], turns) <= _UPRIGHT_DEG:
        return found, turns
    with stage("detect"):
        seen = seen_upright(engine.detector, photo, found[main : main + 1])
    turns, others = round(-roll_deg(seen.points[0]) / 90) % 4, found[np.arange(len(found)) != main]
    if not turns:
        return merged([seen, others])[0], 0
    again = _searched(engine, photo, turns)
    if _off_upright_deg(seen.points[0], turns) > _LEANING_DEG or not len(again):
        again, _ = merged([seen, again])
    found, _ = merged([again, others])
    # What is doubtful may be a face that is seen the wrong way up.
    return found[found.scores >= CERTAIN_SCORE], turns


def _main(faces: Detections) -> int:
    """The index of the face, of those that are certain, that is largest and seen best."""
    return int(np.argmax(faces.scores * areas(faces.boxes) * (faces.scores >= CERTAIN_SCORE)))


def _off_upright_deg(points: NDArray[np.float32], turns: int) -> float:
    """How far a face with these points (5, 2) leans once the photo is turned clockwise by quarter turns, 0 to 180."""
    return abs((roll_deg(points) + 90 * turns + 180) % 360 - 180)


def _fitting(engine: Engine, photo: Pyramid, faces: Detections) -> Detections:
    """The faces that a mesh fits, if the pack has one: what is only found with the photo turned is often none."""
    mesh = engine.mesh
    fits = [mesh is None or mesh.fit(photo, *each) is not None for each in zip(faces.boxes, faces.points, strict=True)]
    return faces[np.array(fits, np.bool_)]


@stage("detect")
def _searched(engine: Engine, photo: Pyramid, turns: int) -> Detections:
    """The faces found with the photo turned clockwise by quarter turns, in the frame of the photo as it stands."""

    def as_turned(size: Size) -> Size:
        return (size[1], size[0]) if turns % 2 else size

    picture = lambda size: turned(photo.resized(as_turned(size)), turns)  # noqa: E731
    return turned_back(find_faces(engine.detector, as_turned(photo.size), picture), turns, photo.size)


@dataclass(frozen=True, slots=True, eq=False)
class _MeasuredFace:
    """One face as it is measured, px of the photo; `points` (5, 2) are the detector's, `box` (4,) the service's."""

    points: NDArray[np.float32]
    mesh: FaceMesh | None
    pose: Pose
    box: NDArray[np.float64]
    quality: Quality
    confidence: float

    @property
    def alignment(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """What a chip is cut by: the detector's points, and the mesh's (468, 3), if it fits."""
        return self.points, self.mesh.points if self.mesh else None

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """The five landmarks (5, 2): the mesh's, or the detector's where no mesh fits."""
        return self.mesh.landmarks if self.mesh else self.points

    def passes(self, bar: QualityBar) -> bool:
        """Whether the face is as good as a quality filter requires."""
        width_px = float(self.box[2] - self.box[0])
        return bar.passes(self.quality, self.pose, face_width_px=width_px, confidence=self.confidence)


def _measured(network: Mesh | None, photo: Pyramid, detection: Detections) -> _MeasuredFace:
    """One detection measured; by its mesh, if the pack has one."""
    points = detection.points[0]
    mesh = network.fit(photo, detection.boxes[0], points) if network else None
    pose = pose_of_mesh(mesh.points) if mesh else pose_of_points(points)
    box = geometry.service_box(mesh.landmarks if mesh else points, pose)
    confidence = float(confidences(detection.scores)[0])
    return _MeasuredFace(points, mesh, pose, box, measure_quality(photo, box), confidence)


def _described(expressions: ExpressionReader | None, photo: Pyramid, face: _MeasuredFace) -> Face:
    """A face as it is answered, with emotions and smile where expressions are read."""
    emotions = smile = None
    if expressions:
        expression = expressions.read(photo, face.landmarks)
        emotions, smile = expression.emotions, read_smile(face.mesh, expression.happiness)
    box, landmarks = geometry.bounding_box(face.box, *photo.size), geometry.landmarks(face.landmarks, *photo.size)
    return Face(box, face.confidence, landmarks, face.pose, face.quality, emotions, smile)


def _order(faces: Detections, prefer: Preference, size: Size) -> NDArray[np.intp]:
    """The faces in the order in which they count: largest first, or the central one and then the largest."""
    sizes = areas(faces.boxes)
    order = np.argsort(-sizes, kind="stable")
    if prefer == "central" and len(order) > 1:
        centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        distances = np.linalg.norm(centres - np.array(size) / 2, axis=1)
        central = np.argmin(np.where(sizes >= _CENTRAL_AREA * sizes.max(), distances, np.inf))
        order = np.concatenate([[central], order[order != central]])
    return order
