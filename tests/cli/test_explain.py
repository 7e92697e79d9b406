"""`--explain`: its sentences for different faces."""

import pytest

from likeness.calibrated import Uncalibrated
from likeness.cli.explain import Photo, explain
from likeness.faces import BoundingBox, Comparison, Face, FaceMatch, Pose, Quality, Trace
from likeness.vision.calibration import Calibration

SOURCE, TARGET = Photo("source photo", 1000, 800), Photo("target photo", 2000, 1000)


def face(
    *,
    width: float = 0.2,
    left: float = 0.4,
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
    brightness: float = 65.0,
    sharpness: float = 90.0,
) -> Face:
    """A face in which nothing is wrong but what is asked for; `pose` is roll, yaw, pitch."""
    return Face(BoundingBox(width, width * 1.4, left, 0.3), 99.9, (), Pose(*pose), Quality(brightness, sharpness))


DIFFERENT = "different people of the same origin and sex"
CURVE = Calibration((0.0, 1.0, 2.0, 3.0, 4.0, 5.0), (-1.0, -2.0, -3.0, -4.0, -5.0, -6.5), 0.01, -4.5, ("origin", "sex"))


def explained(comparison: Comparison, *, threshold: float = 80.0, calibrated: bool = True) -> str:
    return explain(comparison, SOURCE, TARGET, threshold=threshold, claims=CURVE.claim if calibrated else None)


def one_match(similarity: float = 92.0, **more: object) -> Comparison:
    return Comparison(face(), (FaceMatch(similarity, face(**more)),), ())  # type: ignore[arg-type]


def test_sizes_poses_and_quality_of_both_faces() -> None:
    text = explained(one_match(pose=(12.0, -20.0, 8.0)))
    assert "source photo (1000 x 800 px): the face that was compared" in text
    assert "size     200 x 224 px" in text
    assert "pose     facing the camera" in text
    assert "target photo (2000 x 1000 px): 1 face, 1 at or above the threshold" in text
    assert "size     400 x 280 px" in text
    assert "turned 20° to the left, looking 8° up, tilted 12° clockwise" in text
    assert text.count("sharpness 90, brightness 65 (of 100)") == 2


@pytest.mark.parametrize(
    ("similarity", "words"),
    [
        (80.0, f"reached by 1 in 1,000 pairs of {DIFFERENT}"),
        (92.0, f"reached by 1 in 25,000 pairs of {DIFFERENT}"),
        (99.0, f"reached by 1 in 1,000,000 pairs of {DIFFERENT} (extrapolated)"),
        (99.9, f"rarer than 1 in 3,200,000 pairs of {DIFFERENT}"),
        (100.0, f"rarer than 1 in 3,200,000 pairs of {DIFFERENT}"),
        (2.0, f"as most pairs of {DIFFERENT} have"),
    ],
)
def test_how_rare_a_similarity_is(similarity: float, words: str) -> None:
    assert f"match, similarity {similarity:.2f}, {words}" in explained(one_match(similarity))


def test_the_threshold_and_its_errors() -> None:
    text = explained(one_match())
    assert f"Threshold 80: reached by 1 in 1,000 pairs of {DIFFERENT}." in text
    assert "use 99 and let a person decide" in text
    assert "use 99" not in explained(one_match(), threshold=99.0)
    crowd = Comparison(face(), (), tuple(FaceMatch(5.0, face()) for _ in range(30)))
    assert "With 30 faces in a photo, a different person reaches it in 3 % of such photos." in explained(crowd)
    rarer = explained(crowd, threshold=95.0)
    assert "a different person reaches it in 0.03 % of such photos (extrapolated)." in rarer


def test_without_calibration_no_rate_is_made_up_and_no_threshold_recommended() -> None:
    without = explained(one_match(), calibrated=False)
    substitute = explain(one_match(), SOURCE, TARGET, threshold=80.0, claims=Uncalibrated().claim)
    for text in (without, substitute):
        assert "Threshold 80: the pack is not calibrated, so its false match rate is unknown." in text
        assert "calibrate the pack first (likeness calibrate)" in text
        assert "99" not in text
        assert "pairs of different people" not in text


def test_matches_and_other_faces_differ_and_are_placed() -> None:
    comparison = Comparison(
        face(), (FaceMatch(95.0, face(left=0.05)),), (FaceMatch(3.0, face(left=0.75)), FaceMatch(1.0, face()))
    )
    text = explained(comparison)
    assert "3 faces, 1 at or above the threshold" in text
    assert "face 1, left: match, similarity 95.00" in text
    assert "face 2, right: no match, similarity 3.00" in text
    assert "face 3, middle: no match" in text


def test_a_crowd_is_counted() -> None:
    text = explained(Comparison(face(), (), tuple(FaceMatch(5.0, face()) for _ in range(14))))
    assert "face 10," in text
    assert "face 11," not in text
    assert "and 4 more faces" in text


def test_no_faces_left() -> None:
    assert "no face to compare with" in explained(Comparison(face(), (), ()))


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ({"width": 0.02}, "the face is 40 px wide; come closer"),
        ({"sharpness": 12.0}, "the face is blurred"),
        ({"brightness": 18.0}, "the face is dark"),
        ({"brightness": 97.0}, "the face is overexposed"),
        ({"pose": (0.0, 48.0, 0.0)}, "the face is turned 48° away"),
        ({"pose": (0.0, 0.0, -31.0)}, "from above"),
        ({"pose": (0.0, 0.0, 31.0)}, "from below"),
        ({"left": -0.05}, "cut off by the photo's edge"),
    ],
)
def test_advice_fits_the_fault(fault: dict[str, float], advice: str) -> None:
    text = explained(one_match(**fault))
    lines = text.split("What would make the photos better:\n")[1].splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("  - target photo: ")
    assert advice in lines[0]


def test_good_photos_get_no_advice() -> None:
    text = explained(one_match())
    assert "What would make" not in text
    assert "The photos are good enough" in text


def test_several_faces_in_the_source_photo() -> None:
    comparison = Comparison(face(), (FaceMatch(92.0, face()),), (), trace=Trace(source_faces=3))
    assert "source photo: it shows 3 faces and the largest was taken; crop it to one person" in explained(comparison)
