"""Pose: exact for the mean face rotated in space, with the signs of section 5.5."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.vision.mesh_model import MEAN_RIGID, RIGID
from likeness.vision.pose import derotated, pose_of_mesh, pose_of_points

from .faces_in_three import turned_mesh, turned_points

ROLLS = st.floats(-179, 179)
ANGLES = st.floats(-60, 60)


def apart_deg(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


@given(roll=ROLLS, yaw=ANGLES, pitch=ANGLES, eyes_px=st.floats(5, 2000))
def test_a_mesh_gives_back_the_turn_it_was_made_with(roll: float, yaw: float, pitch: float, eyes_px: float) -> None:
    pose = pose_of_mesh(turned_mesh(roll, yaw, pitch, eyes_px=eyes_px, at=(300, 200)))
    assert apart_deg(pose.roll, roll) < 1e-3
    assert pose.yaw == pytest.approx(yaw, abs=1e-3)
    assert pose.pitch == pytest.approx(pitch, abs=1e-3)


@given(roll=ROLLS, yaw=st.floats(-40, 40), pitch=st.floats(-35, 35))
def test_five_points_give_nearly_the_turn_they_were_made_with(roll: float, yaw: float, pitch: float) -> None:
    pose = pose_of_points(turned_points(roll, yaw, pitch))
    # Yaw and pitch together shear the five points, which adds a little roll.
    assert apart_deg(pose.roll, roll) < 12
    assert pose.yaw == pytest.approx(yaw, abs=12)
    assert pose.pitch == pytest.approx(pitch, abs=12)


@pytest.mark.parametrize("angle", [-40.0, -10.0, 0.0, 15.0, 40.0])
def test_five_points_turned_about_one_axis_are_exact(angle: float) -> None:
    assert pose_of_points(turned_points(yaw_deg=angle)).yaw == pytest.approx(angle, abs=0.5)
    assert pose_of_points(turned_points(pitch_deg=angle)).pitch == pytest.approx(angle, abs=0.5)
    assert pose_of_points(turned_points(roll_deg=angle)).roll == pytest.approx(angle, abs=1e-3)


def test_signs_are_those_of_section_5_5() -> None:
    upright = turned_points()
    nose_left = upright + np.array([[0, 0], [0, 0], [-8, 0], [0, 0], [0, 0]])
    nose_up = upright + np.array([[0, 0], [0, 0], [0, -8], [0, 0], [0, 0]])
    clockwise = upright @ np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    assert pose_of_points(nose_left).yaw < -3
    assert pose_of_points(nose_up).pitch > 3
    assert clockwise[1, 1] > clockwise[0, 1]  # the right eye is the lower one
    assert pose_of_points(clockwise).roll == pytest.approx(np.degrees(0.3), abs=0.01)


@pytest.mark.parametrize(("ratio", "pitch_deg"), [(0.50, 8.6), (0.55, 0.9), (0.70, -13.3)])
def test_pitch_follows_the_samples_of_section_5_5(ratio: float, pitch_deg: float) -> None:
    """(nose - eyes) / (mouth - eyes) of three faces that the service measured; ours is within 4 degrees of each."""
    five = np.array([[0, 0], [60, 0], [30, 64 * ratio], [5, 64], [55, 64]])
    assert pose_of_points(five).pitch == pytest.approx(pitch_deg, abs=4)


def test_the_sample_of_the_page_has_nearly_its_pose() -> None:
    """Its landmarks as ratios of a photo whose shape follows from the box: 1.385 times as high as wide in px."""
    aspect = 1.385 * 0.12368916720151901 / 0.25140416622161865
    five = np.array([
        [0.6204193830490112, 0.26721030473709106], [0.6776827573776245, 0.26831310987472534],
        [0.6428444981575012, 0.3140771687030792],
        [0.6241428852081299, 0.3514654338359833], [0.6713621020317078, 0.35258132219314575],
    ])  # fmt: skip
    pose = pose_of_points(five * (1000, 1000 * aspect))
    assert pose.roll == pytest.approx(-0.103, abs=3)
    assert pose.yaw == pytest.approx(-3.735, abs=8)
    assert pose.pitch == pytest.approx(0.864, abs=3)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 3.0))
def test_the_rotation_nearest_to_a_mesh_is_the_one_of_its_singular_vectors(seed: int, spread: float) -> None:
    """Kabsch's answer, also where a mesh is far from any face, flat, or turned inside out."""
    chance = np.random.default_rng(seed)
    mesh = turned_mesh(20, -30, 10, eyes_px=40)
    mesh[:, 2] *= chance.choice([1.0, 0.0, -1.0, 1e-7])
    mesh += chance.normal(scale=40 * spread, size=mesh.shape)
    centred = MEAN_RIGID - MEAN_RIGID.mean(axis=0)
    u, sizes, vt = np.linalg.svd(centred.T @ mesh[RIGID])
    turned = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    if sizes[2] + sizes[1] * np.linalg.det(u @ vt) > 1e-6 * sizes[0]:  # else any of several is as near
        rotation = turned.T
        pose = pose_of_mesh(mesh)
        assert pose.yaw == pytest.approx(np.degrees(np.arcsin(np.clip(rotation[2, 0], -1, 1))), abs=1e-2)
        if abs(pose.yaw) < 89:
            assert apart_deg(pose.roll, np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))) < 1e-2


@given(yaw=ANGLES, pitch=ANGLES, roll=ROLLS)
def test_derotated_meshes_face_the_camera(yaw: float, pitch: float, roll: float) -> None:
    upright = derotated(turned_mesh(roll, yaw, pitch, eyes_px=37, at=(50, -20)), RIGID.tolist())
    assert np.allclose(upright, MEAN_RIGID, atol=1e-6)


def test_points_that_coincide_still_have_a_finite_pose() -> None:
    pose = pose_of_points(np.full((5, 2), 10.0))
    assert np.isfinite([pose.roll, pose.yaw, pose.pitch]).all()
    mesh_pose = pose_of_mesh(np.zeros((468, 3)))
    assert np.isfinite([mesh_pose.roll, mesh_pose.yaw, mesh_pose.pitch]).all()
