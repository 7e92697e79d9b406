"""The values of an answer: the attributes of a face, and the comparison of two photos.

Every number has the precision that the service sends: IEEE single, as a Python float (specification section 2.2). It is
rounded once, when the value is made, so that the number compared with a threshold is the one printed.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

QualityFilter = Literal["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"]
QUALITY_FILTERS: tuple[QualityFilter, ...] = ("NONE", "AUTO", "LOW", "MEDIUM", "HIGH")

LandmarkType = Literal["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
#: The order in which the service lists them (specification section 5.4). Left is the left side of the picture.
LANDMARK_TYPES: tuple[LandmarkType, ...] = ("eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose")

EmotionType = Literal["HAPPY", "SAD", "ANGRY", "CONFUSED", "DISGUSTED", "SURPRISED", "CALM", "UNKNOWN", "FEAR"]

OrientationCorrection = Literal["ROTATE_0", "ROTATE_90", "ROTATE_180", "ROTATE_270"]


_SINGLE = struct.Struct("<f")


def single(value: float) -> float:
    """`value` rounded to IEEE single precision, as a Python float: the digits that the service prints."""
    rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return rounded


class _Singles:
    """Rounds every float field to single precision when the value is made."""

    __slots__: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.__slots__:  # the dataclass's fields; `dataclasses.fields` takes four times as long
            value = getattr(self, name)
            if isinstance(value, (float, int)) and not isinstance(value, bool):
                object.__setattr__(self, name, single(value))


@dataclass(frozen=True, slots=True)
class BoundingBox(_Singles):
    """A face's box as ratios of the photo's width and height; may reach beyond the photo (specification 5.3)."""

    width: float
    height: float
    left: float
    top: float

    def to_dict(self) -> dict[str, float]:
        return {"Width": self.width, "Height": self.height, "Left": self.left, "Top": self.top}


@dataclass(frozen=True, slots=True)
class Landmark(_Singles):
    """A point of a face as ratios of the photo's width (x) and height (y)."""

    type: LandmarkType
    x: float
    y: float

    def to_dict(self) -> dict[str, Any]:
        return {"Type": self.type, "X": self.x, "Y": self.y}


@dataclass(frozen=True, slots=True)
class Pose(_Singles):
    """Degrees, -180 to 180. Roll: clockwise positive. Yaw: towards the picture's left negative. Pitch: up positive."""

    roll: float
    yaw: float
    pitch: float

    def to_dict(self) -> dict[str, float]:
        return {"Roll": self.roll, "Yaw": self.yaw, "Pitch": self.pitch}


@dataclass(frozen=True, slots=True)
class Quality(_Singles):
    """Brightness and sharpness of a face, each 0 to 100, higher is brighter or sharper."""

    brightness: float
    sharpness: float

    def to_dict(self) -> dict[str, float]:
        return {"Brightness": self.brightness, "Sharpness": self.sharpness}


@dataclass(frozen=True, slots=True)
class Emotion(_Singles):
    """An apparent emotion (appearance only), and the confidence in it, 0 to 100."""

    type: EmotionType
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        return {"Type": self.type, "Confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Smile(_Singles):
    """Whether a face smiles, and the confidence in that answer, 50 to 100."""

    value: bool
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        return {"Value": self.value, "Confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Face(_Singles):
    """One face of a photo. `emotions` and `smile` are None if they were not requested."""

    bounding_box: BoundingBox
    confidence: float
    landmarks: tuple[Landmark, ...]
    pose: Pose
    quality: Quality
    emotions: tuple[Emotion, ...] | None = None
    smile: Smile | None = None

    def to_dict(self) -> dict[str, Any]:
        """The service's `ComparedFace`."""
        face: dict[str, Any] = {
            "BoundingBox": self.bounding_box.to_dict(),
            "Confidence": self.confidence,
            "Landmarks": [landmark.to_dict() for landmark in self.landmarks],
            "Pose": self.pose.to_dict(),
            "Quality": self.quality.to_dict(),
        }
        if self.emotions is not None:
            face["Emotions"] = [emotion.to_dict() for emotion in self.emotions]
        if self.smile is not None:
            face["Smile"] = self.smile.to_dict()
        return face


@dataclass(frozen=True, slots=True)
class FaceMatch(_Singles):
    """A face of the target photo with its similarity to the source face, 0 to 100."""

    similarity: float
    face: Face

    def to_dict(self) -> dict[str, Any]:
        """The service's `CompareFacesMatch`."""
        return {"Similarity": self.similarity, "Face": self.face.to_dict()}


@dataclass(frozen=True, slots=True)
class Trace:
    """Information on a comparison for logs and metrics; nothing of the photos themselves.

    `notes` are sentences for people (a truncated file, several faces in the source photo). `seconds` is the time per
    stage (decode, detect, mesh, measure, embed, attributes). `source_faces` and `target_faces` count the faces found
    before any filter.
    """

    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    source_faces: int = 0
    target_faces: int = 0

    def __add__(self, other: "Trace") -> "Trace":
        """The trace of both photos of a comparison, its stages in alphabetical order."""
        stages = sorted(self.seconds.keys() | other.seconds.keys())
        seconds = {stage: self.seconds.get(stage, 0.0) + other.seconds.get(stage, 0.0) for stage in stages}
        faces = self.source_faces + other.source_faces, self.target_faces + other.target_faces
        return Trace(self.notes + other.notes, seconds, *faces)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer to CompareFaces.

    `matches` have a similarity at or above the threshold, highest first; `unmatched` have less, largest face first.
    `calibrated` is False if the pack has no calibration: similarities are then cosines in percent, and promise nothing.
    The service does not report the similarity of unmatched faces or the details of the source face, so `to_dict` omits
    them.
    """

    source: Face
    matches: tuple[FaceMatch, ...]
    unmatched: tuple[FaceMatch, ...]
    source_orientation_correction: OrientationCorrection | None = None
    target_orientation_correction: OrientationCorrection | None = None
    trace: Trace = field(default_factory=Trace, compare=False)
    calibrated: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The service's JSON (`CompareFacesResponse`); members that are None are absent."""
        answer: dict[str, Any] = {
            "SourceImageFace": {
                "BoundingBox": self.source.bounding_box.to_dict(),
                "Confidence": self.source.confidence,
            },
            "FaceMatches": [match.to_dict() for match in self.matches],
            "UnmatchedFaces": [each.face.to_dict() for each in self.unmatched],
        }
        if self.source_orientation_correction is not None:
            answer["SourceImageOrientationCorrection"] = self.source_orientation_correction
        if self.target_orientation_correction is not None:
            answer["TargetImageOrientationCorrection"] = self.target_orientation_correction
        return answer


class Compares(Protocol):
    """A `Comparer`, or any object with its `compare`."""

    def compare(
        self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: QualityFilter
    ) -> Comparison:
        """See `likeness.comparer.Comparer.compare`."""
        ...
