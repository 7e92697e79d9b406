"""One photo → its faces with vectors: `analyse` is the flow from top to bottom, each step a function of `vision`."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.executor import Map, in_turn
from likeness.faces import Face, OrientationCorrection, QualityFilter
from likeness.image import Image, Reduction
from likeness.stages import stage
from likeness.vision.detection import Detections, Preference, in_order
from likeness.vision.expression import read_expression
from likeness.vision.face import describe_face, measure_face
from likeness.vision.pyramid import Pyramid
from likeness.vision.suppression import areas
from likeness.vision.turned import find

#: A face with this longer side, px, gives the mesh's crop (192 px across 1.37 boxes) and the chip all their detail.
_DETAILED_BOX_PX = 140.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a photo: the `most` largest of the faces that pass the quality filter.

    With `most` 1, as for a source photo, only the main face of the photo (`prefer`), which no other replaces.
    """

    most: int
    quality_filter: QualityFilter = "NONE"
    search_rotations: bool = True
    attributes: bool = False
    prefer: Preference = "largest"


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedPhoto:
    """A photo's `faces`, largest first, and their `vectors` (N, D) float32; how many were `found` before any filter.

    `main` is the index in `faces` of the main face (Preference); None if the quality filter rejects it. A rotation of
    the photo clockwise by `quarter_turns` right angles sets its faces upright.
    """

    image: Image
    faces: tuple[Face, ...]
    vectors: NDArray[np.float32] = field(repr=False)
    found: int
    quarter_turns: int
    main: int | None = None

    @property
    def orientation_correction(self) -> OrientationCorrection | None:
        """How far the photo is turned counterclockwise (decision 3); None if EXIF says it."""
        turned_back = cast(OrientationCorrection, f"ROTATE_{90 * self.quarter_turns}")
        return turned_back if self.image.orientation == 1 else None


def analyse(engine: Engine, image: Image, wanted: Wanted, spread: Map = in_turn) -> AnalysedPhoto:
    """The faces of a photo that are wanted, with their vectors; `spread` distributes the runs of networks.

    A stage is done for all faces before the next begins, so that the weights of its network stay in the caches. The
    work between networks stays in this thread: NumPy releases the interpreter's lock for each of many small arrays, and
    two threads that exchange it that often take more processor time.
    """
    photo = decoded(image)
    with stage("detect"):
        detections, quarter_turns = search(engine, photo, wanted.search_rotations)
    detections = detections[in_order(detections, wanted.prefer, photo.size)]
    # The smallest face decides how finely the photo is decoded.
    photo.decode_for(_DETAILED_BOX_PX / float(detections.sides_px.min(initial=np.inf)))
    mesh, bar = engine.mesh, engine.quality_bar(wanted.quality_filter)
    # Faces that the filter rejects are replaced by smaller ones, except the one face of a source photo.
    count = len(detections) if bar and wanted.most > 1 else min(wanted.most, len(detections))
    candidates = [detections[place : place + 1] for place in range(count)]
    with stage("mesh"):
        meshes = spread(lambda one: mesh.fit(photo, one.boxes[0], one.points[0]) if mesh else None, candidates)
    with stage("measure"):
        measured = [measure_face(photo, *each) for each in zip(candidates, meshes, strict=True)]
    passing = [place for place in range(count) if not bar or measured[place].passes(bar)]
    sizes = areas(detections.boxes)
    places = sorted(passing[: wanted.most], key=lambda place: -sizes[place])
    faces = [measured[place] for place in places]
    embedder, network = engine.embedder, engine.expressions if wanted.attributes else None
    with stage("embed"):
        vectors = spread(lambda face: embedder.vectors([embedder.chips(photo, *face.alignment)]), faces)
    with stage("attributes"):
        read = spread(lambda face: read_expression(network, photo, face.landmarks) if network else None, faces)
        described = [describe_face(photo.size, *each) for each in zip(faces, read, strict=True)]
    return AnalysedPhoto(
        image,
        tuple(described),
        np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32),
        len(detections),
        quarter_turns,
        places.index(0) if 0 in places else None,
    )


def search(engine: Engine, photo: Pyramid, search_rotations: bool = True) -> tuple[Detections, int]:
    """The faces that `find` finds in a photo; those found in a rotated photo only if the pack's mesh fits them."""
    mesh = engine.mesh

    def are_faces(found: Detections) -> NDArray[np.bool_]:
        each = zip(found.boxes, found.points, strict=True)
        return np.array([mesh is None or mesh.fit(photo, *one) is not None for one in each], np.bool_)

    return find(engine.detector, photo, are_faces if search_rotations else None)


def decoded(image: Image) -> Pyramid:
    """The pixels of a photo, decoded when they are first needed."""
    decode = stage("decode")(lambda halvings: image.pixels(cast(Reduction, 2**halvings)))
    return Pyramid((image.width, image.height), decode)
