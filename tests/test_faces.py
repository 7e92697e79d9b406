"""The values of an answer: precision and JSON."""

import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from likeness.faces import (
    LANDMARK_TYPES,
    BoundingBox,
    Comparison,
    Emotion,
    Face,
    FaceMatch,
    Landmark,
    Pose,
    Quality,
    Smile,
    single,
)


def face(**changes: object) -> Face:
    values: dict[str, object] = {
        "bounding_box": BoundingBox(width=0.1236891672, height=0.2514041662, left=0.59012579, top=0.160073727),
        "confidence": 100,
        "landmarks": tuple(Landmark(kind, 0.5, 0.25) for kind in LANDMARK_TYPES),
        "pose": Pose(roll=-0.103, yaw=-3.735, pitch=0.864),
        "quality": Quality(brightness=65.299, sharpness=95.516),
    }
    return Face(**{**values, **changes})  # type: ignore[arg-type]


def test_numbers_print_with_the_digits_of_the_service() -> None:
    # The page's own sample: 0.12368916720151901 is the single nearest to 0.1236891672, widened.
    assert json.dumps(face().to_dict()["BoundingBox"]["Width"]) == "0.12368916720151901"
    assert json.dumps(face().to_dict()["Confidence"]) == "100.0"


@given(st.floats(width=64, allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_single_is_the_nearest_single_and_rounding_twice_changes_nothing(value: float) -> None:
    assert single(value) == struct.unpack("<f", struct.pack("<f", value))[0]
    assert single(single(value)) == single(value)


def test_members_that_are_none_are_absent() -> None:
    assert "Emotions" not in face().to_dict()
    assert "Smile" not in face().to_dict()
    full = face(emotions=(Emotion("HAPPY", 99.5),), smile=Smile(True, 98)).to_dict()
    assert full["Emotions"] == [{"Type": "HAPPY", "Confidence": 99.5}]
    assert full["Smile"] == {"Value": True, "Confidence": 98.0}


def test_a_comparison_tells_what_the_service_tells_and_no_more() -> None:
    comparison = Comparison(face(), (FaceMatch(99.1, face()),), (FaceMatch(12.5, face()),))
    answer = comparison.to_dict()
    assert list(answer) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert set(answer["SourceImageFace"]) == {"BoundingBox", "Confidence"}
    assert answer["FaceMatches"][0]["Similarity"] == single(99.1)
    assert "Similarity" not in answer["UnmatchedFaces"][0]


def test_landmarks_stand_in_the_order_of_the_service() -> None:
    kinds = [landmark["Type"] for landmark in face().to_dict()["Landmarks"]]
    assert kinds == ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]


def test_orientation_corrections_appear_only_when_estimated() -> None:
    comparison = Comparison(face(), (), (), source_orientation_correction="ROTATE_90")
    assert comparison.to_dict()["SourceImageOrientationCorrection"] == "ROTATE_90"
    assert "TargetImageOrientationCorrection" not in comparison.to_dict()
