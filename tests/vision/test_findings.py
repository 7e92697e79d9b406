"""What findings say: how sure they are, which are plausible in company, and which lie beside settled faces."""

import numpy as np
import pytest

from likeness.vision.detector import Detections
from likeness.vision.findings import beside, confidences, plausible, stretch, turns_worth_trying

#: Left eye, right eye, nose and mouth corners of a face that fills a box, as shares of its sides.
_POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.57], [0.33, 0.75], [0.67, 0.75]], np.float32)


def found(*faces: tuple[float, float, float, float, float]) -> Detections:
    """Upright faces: x, y, width, height and score of each."""
    given = np.array(faces, np.float32).reshape(-1, 5)
    corners, sides = given[:, :2], given[:, 2:4]
    return Detections(
        np.concatenate([corners, corners + sides], axis=1),
        given[:, 4],
        corners[:, np.newaxis] + _POINTS * sides[:, np.newaxis],
    )


def test_confidence_rises_with_the_score() -> None:
    given = confidences(np.linspace(0, 1, 101, dtype=np.float32))
    assert (np.diff(given) > 0).all()
    assert 0 < given[0] < given[-1] < 100
    assert given[80] > 99.9


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((0.9, 0.3), [0.9, 0.3]),  # a doubtful face, smaller than a certain one
        ((0.3,), []),  # alone
        ((0.3, 0.3), []),
        ((0.45,), [0.45]),
        ((0.45, 0.3), [0.45, 0.3]),  # no certain face to be larger than
        ((), []),
    ],
)
def test_a_doubtful_face_counts_in_company(scores: tuple[float, ...], kept: list[float]) -> None:
    faces = found(*((100 * n, 0, 90 - 20 * n, 117 - 26 * n, score) for n, score in enumerate(scores)))
    np.testing.assert_allclose(plausible(faces).scores, kept)


def test_a_doubtful_face_does_not_stand_in_as_the_largest() -> None:
    np.testing.assert_allclose(plausible(found((0, 0, 50, 65, 0.9), (100, 0, 90, 117, 0.3))).scores, [0.9])


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ((5, 5, 100, 130, 0.9), False),  # the settled face itself
        ((40, 50, 20, 26, 0.3), False),  # a weak answer to a part of it
        ((40, 50, 20, 26, 0.9), True),  # a face before it
        ((300, 0, 40, 52, 0.3), True),
    ],
)
def test_what_lies_beside_settled_faces(other: tuple[float, float, float, float, float], counts: bool) -> None:
    assert len(beside(found(other), found((0, 0, 100, 130, 0.9)))) == counts


def test_a_squeezed_face_is_stretched_and_a_lying_one_turned() -> None:
    ordinary = found((0, 0, 100, 130, 0.9))
    assert stretch(ordinary) == 1
    assert stretch(found((0, 0, 60, 130, 0.9))) > 1
    assert stretch(found((0, 0, 130, 100, 0.9))) < 1
    assert turns_worth_trying(ordinary, (200, 200)) == ()
    lying = Detections(ordinary.boxes, ordinary.scores, np.ascontiguousarray(ordinary.points[..., ::-1] * [1, -1]))
    assert turns_worth_trying(lying, (200, 200)) == (1,)
    assert turns_worth_trying(found(), (200, 200)) == (1, 2, 3)
