"""The service's box: its proportions on ordinary faces, and plausible boxes on others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.faces import Pose
from likeness.vision.geometry import bounding_box, landmarks, service_box

from .faces_in_three import turned_points

FRONTAL = Pose(roll=0, yaw=0, pitch=0)


def proportions(five: np.ndarray, pose: Pose) -> tuple[float, float, float, float]:
    """Height / width, eyes / width, eye line / height, mouth line / height: what section 5.3 tells of the service's
    boxes.
    """
    x1, y1, x2, y2 = service_box(five, pose)
    width, height = x2 - x1, y2 - y1
    eyes = float(np.linalg.norm(five[1] - five[0]))
    return height / width, eyes / width, (five[:2, 1].mean() - y1) / height, (five[3:, 1].mean() - y1) / height


@given(drop=st.floats(0.97, 1.18), roll=st.floats(-5, 5), yaw=st.floats(-12, 12), eyes_px=st.floats(8, 1500))
def test_frontal_faces_have_the_service_s_proportions(drop: float, roll: float, yaw: float, eyes_px: float) -> None:
    """`drop` is how far the mouth is under the eyes, relative to the mean face: faces are short and long."""
    five = turned_points(roll, yaw, eyes_px=eyes_px, at=(700, 400))
    five[:, 1] = 400 + (five[:, 1] - 400) * drop
    tall, eyes, eye_line, mouth_line = proportions(five, Pose(roll=roll, yaw=yaw, pitch=0))
    assert 1.35 <= tall <= 1.40
    assert 0.42 <= eyes <= 0.465
    assert 0.375 <= eye_line <= 0.40
    assert 0.72 <= mouth_line <= 0.785


def test_the_mean_face_is_inside_every_range() -> None:
    tall, eyes, eye_line, mouth_line = proportions(turned_points(eyes_px=80), FRONTAL)
    assert 1.35 <= tall <= 1.40
    assert 0.42 <= eyes <= 0.465
    assert 0.375 <= eye_line <= 0.40
    assert 0.73 <= mouth_line <= 0.77


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_turns_the_box(quarters: int) -> None:
    upright = service_box(turned_points(eyes_px=80), FRONTAL)
    turned = service_box(turned_points(90 * quarters, eyes_px=80), Pose(roll=90 * quarters, yaw=0, pitch=0))
    corners = np.array([upright[:2], upright[2:]])
    for _ in range(quarters):
        corners = np.stack([-corners[:, 1], corners[:, 0]], axis=1)
    assert turned == pytest.approx(np.concatenate([corners.min(axis=0), corners.max(axis=0)]))


@given(roll=st.floats(-180, 180), yaw=st.floats(-80, 80), pitch=st.floats(-50, 50))
def test_the_box_holds_the_landmarks_and_is_not_blown_up(roll: float, yaw: float, pitch: float) -> None:
    five = turned_points(roll, yaw, pitch, eyes_px=60)
    x1, y1, x2, y2 = service_box(five, Pose(roll=roll, yaw=yaw, pitch=pitch))
    assert (five[:, 0] > x1).all()
    assert (five[:, 0] < x2).all()
    assert (five[:, 1] > y1).all()
    assert (five[:, 1] < y2).all()
    upright_area = 1.385 * (60 / 0.447) ** 2
    assert 0.3 * upright_area < (x2 - x1) * (y2 - y1) < 2.2 * upright_area


def test_the_box_of_a_turned_head_is_off_centre_as_in_the_service_s_sample() -> None:
    """At yaw -3.7 the middle of the sample's box is 0.024 of its width to the right of the middle of the eyes."""
    five = turned_points(yaw_deg=-3.735, eyes_px=100)
    x1, _, x2, _ = service_box(five, Pose(roll=0, yaw=-3.735, pitch=0))
    assert ((x1 + x2) / 2 - five[:2, 0].mean()) / (x2 - x1) == pytest.approx(0.024, abs=0.003)


def test_mirrored_faces_have_mirrored_boxes() -> None:
    five = turned_points(10, 20, 5, eyes_px=60)
    mirrored = (five * (-1, 1))[[1, 0, 2, 4, 3]]
    box = service_box(five, Pose(roll=10, yaw=20, pitch=5))
    other = service_box(mirrored, Pose(roll=-10, yaw=-20, pitch=5))
    assert other == pytest.approx([-box[2], box[1], -box[0], box[3]])


def test_points_that_coincide_give_a_box_with_an_area() -> None:
    x1, y1, x2, y2 = service_box(np.full((5, 2), 7.0), FRONTAL)
    assert x2 > x1
    assert y2 > y1


def test_ratios_may_leave_the_photo() -> None:
    box = bounding_box((-20, 10, 120, 250), 100, 200)
    assert (box.left, box.width) == (pytest.approx(-0.2), pytest.approx(1.4))
    assert (box.top, box.height) == (pytest.approx(0.05), pytest.approx(1.2))


def test_landmarks_are_in_the_service_s_order() -> None:
    found = landmarks([[10, 20], [30, 21], [19, 33], [12, 44], [28, 45]], 100, 50)
    assert [each.type for each in found] == ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
    assert (found[3].x, found[3].y) == (pytest.approx(0.28), pytest.approx(0.9))
    assert (found[4].x, found[4].y) == (pytest.approx(0.19), pytest.approx(0.66))
