"""Smiles: read from happiness and the mouth, with a confidence from 50 to 100."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.vision.expression import read_smile, smile_features
from likeness.vision.mesh import FaceMesh

from .faces_in_three import turned_mesh


def face(
    lift: float, width: float = 0.82, roll_deg: float = 0.0, yaw_deg: float = 0.0, eyes_px: float = 50.0
) -> FaceMesh:
    """The mean face with a mouth whose corners stand `lift` eye distances above the gap between the lips."""
    upright = turned_mesh(eyes_px=1.0)
    upright[13] = upright[14] = 0, 1.06, -0.2
    upright[61], upright[291] = (-width / 2, 1.06 - lift, 0), (width / 2, 1.06 - lift, 0)
    turn = turned_mesh(roll_deg, yaw_deg, eyes_px=eyes_px)
    moved, _, _, _ = np.linalg.lstsq(upright[[1, 168, 33, 263, 9]], turn[[1, 168, 33, 263, 9]], rcond=None)
    points = (upright @ moved).astype(np.float32)
    return FaceMesh(points=points, landmarks=np.zeros((5, 2), np.float32))


def test_features_are_what_they_say_however_the_head_is_turned() -> None:
    for roll_deg, yaw_deg, eyes_px in ((0, 0, 20), (40, 0, 300), (0, 30, 50), (-120, -25, 80)):
        happiness, lift, width = smile_features(face(0.12, 0.9, roll_deg, yaw_deg, eyes_px), 1.5)
        assert happiness == 1.5
        assert lift == pytest.approx(0.12, abs=0.01)
        assert width == pytest.approx(0.9, abs=0.01)


def test_a_broad_grin_is_a_smile_and_a_drooping_mouth_is_none() -> None:
    grin, droop = read_smile(face(0.15, 1.0), 2.0), read_smile(face(-0.12, 0.75), -5.0)
    assert grin.value
    assert grin.confidence > 90
    assert not droop.value
    assert droop.confidence > 90


@given(happiness=st.floats(-20, 20), more=st.floats(0, 10))
def test_more_happiness_is_never_less_of_a_smile(happiness: float, more: float) -> None:
    before, after = read_smile(None, happiness), read_smile(None, happiness + more)
    assert after.value >= before.value
    signed = [each.confidence if each.value else 100 - each.confidence for each in (before, after)]
    assert signed[1] >= signed[0] - 1e-4


@given(st.floats(-1e6, 1e6))
def test_confidence_is_from_50_to_100(happiness: float) -> None:
    smile = read_smile(None, happiness)
    assert 50 <= smile.confidence <= 100


def test_without_a_mesh_happiness_decides() -> None:
    assert [read_smile(None, happiness).value for happiness in (4.0, -4.0)] == [True, False]
