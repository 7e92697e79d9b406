"""The mesh: the network's input, the positions of its points, when it is rejected, and its stability on
real faces.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.image import open_image
from likeness.pipeline import decoded, search
from likeness.vision.mesh import CROP_SIZE_PX, CROP_TEMPLATE, FaceMesh, Mesh, detected_crop, five_landmarks, mesh_crop
from likeness.vision.mesh_model import MEAN_RIGID, RIGID
from likeness.vision.network import Pictures
from likeness.vision.pose import pose_of_mesh
from likeness.vision.pyramid import Pyramid

#: The network's answer to every crop, in its px: all points in the middle but those that the five landmarks are made
#: of.
ANSWER = np.full((468, 3), CROP_SIZE_PX / 2)
for _indices, _place in zip(((33, 133), (263, 362), (1, 4), (61,), (291,)), CROP_TEMPLATE, strict=True):
    ANSWER[list(_indices), :2] = _place
# Cheeks, forehead and chin: the mesh is in the middle, and its next crop, 1.5 times its width, is the same crop.
ANSWER[[234, 454, 10, 152], :2] = (32, 96), (160, 96), (96, 69.7), (96, 122.3)


class Recorder:
    """A network that returns these answers in turn, then repeats the last, and records its input."""

    takes_bytes = True

    def __init__(self, *answers: NDArray[np.float64], logit: float = 20.0) -> None:
        self.fed: list[Pictures] = []
        self._points = [each.reshape(1, 1404).astype(np.float32) for each in answers or (ANSWER,)]
        self._logit = np.array([[logit]], dtype=np.float32)

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        (crop,) = inputs
        self.fed.append(crop)
        return [self._points[min(len(self.fed), len(self._points)) - 1], self._logit]


#: A face as a detector would give it, whose crop is 192 px of the photo turned by `ROLL`.
SCALE, ROLL_DEG, SHIFT = 1.5, 20.0, (300.0, 200.0)


def placed(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in px of the crop → their positions in the synthetic photo."""
    cosine, sine = np.cos(np.radians(ROLL_DEG)), np.sin(np.radians(ROLL_DEG))
    centred = (np.asarray(points) - CROP_SIZE_PX / 2) * SCALE
    return np.asarray(centred @ np.array([[cosine, sine], [-sine, cosine]]) + SHIFT)


POINTS = placed(CROP_TEMPLATE)
HALF_BOX = SCALE * CROP_SIZE_PX / 1.371 / 2
BOX = np.array([SHIFT[0] - HALF_BOX, SHIFT[1] - HALF_BOX, SHIFT[0] + HALF_BOX, SHIFT[1] + HALF_BOX])
PHOTO = np.full((400, 600, 3), (255, 128, 0), dtype=np.uint8)


def fit(network: Recorder, photo: NDArray[np.uint8] = PHOTO) -> FaceMesh | None:
    return Mesh(network).fit(Pyramid.of(photo), BOX, POINTS)


def test_the_network_is_fed_bytes_one_crop_at_a_time() -> None:
    network = Recorder()
    fit(network)
    (crop,) = network.fed
    assert crop.shape == (1, 192, 192, 3)
    assert crop.dtype == np.uint8
    assert crop[0, 96, 96].tolist() == [255, 128, 0]


def test_a_network_that_takes_numbers_is_refused() -> None:
    class OfNumbers(Recorder):
        takes_bytes = False

    with pytest.raises(ValueError, match="must take bytes"):
        Mesh(OfNumbers())


def test_a_mesh_that_implies_quite_another_crop_is_fitted_again_there() -> None:
    aside = ANSWER + np.array([26.0, 0, 0])
    network = Recorder(aside, ANSWER)
    found = fit(network)
    assert len(network.fed) == 2
    assert found is not None
    # The second crop is 26 px (of the first crop) to the right.
    expected = placed(CROP_TEMPLATE + np.array([26.0, 0]))
    assert found.landmarks == pytest.approx(expected, abs=0.8)


def test_a_mesh_that_never_settles_has_three_runs() -> None:
    aside = ANSWER + np.array([26.0, 0, 0])
    network = Recorder(aside)
    fit(network)
    assert len(network.fed) == 3


def test_landmarks_come_back_to_where_the_face_is() -> None:
    found = fit(Recorder())
    assert found is not None
    assert found.landmarks == pytest.approx(POINTS, abs=0.1)
    assert found.points.shape == (468, 3)


def test_depth_is_in_px_of_the_photo() -> None:
    answer = ANSWER.copy()
    answer[:, 2] = -10
    found = fit(Recorder(answer))
    assert found is not None
    assert found.points[:, 2] == pytest.approx(-10 * SCALE, rel=0.01)


@pytest.mark.parametrize("logit", [-30.0, -0.1])
def test_no_presence_no_mesh(logit: float) -> None:
    assert fit(Recorder(logit=logit)) is None


def test_a_mesh_far_from_the_detector_s_points_is_rejected() -> None:
    elsewhere = ANSWER + np.array([0.0, 30.0, 0.0])
    assert fit(Recorder(elsewhere)) is None


def test_a_face_outside_the_photo_and_one_without_extent_do_no_harm() -> None:
    photo = Pyramid.of(PHOTO)
    assert Mesh(Recorder(logit=-9.0)).fit(photo, [-900.0, -900, -800, -800], CROP_TEMPLATE - 900) is None
    assert Mesh(Recorder(logit=-9.0)).fit(photo, [5, 5, 5, 5], np.full((5, 2), 5.0)) is None


def test_the_mean_face_is_symmetric() -> None:
    midline = np.isclose(MEAN_RIGID[:, 0], 0)
    sides = MEAN_RIGID[~midline]
    left, right = sides[: len(sides) // 2], sides[len(sides) // 2 :]
    assert np.array_equal(left, right * (-1, 1, 1))
    assert len(set(RIGID.tolist())) == len(RIGID)


def test_the_crop_of_a_mesh_is_level_and_one_and_a_half_times_its_size() -> None:
    photo_mesh = np.column_stack([placed(ANSWER[:, :2]), ANSWER[:, 2]])
    matrix = mesh_crop(photo_mesh)
    level = photo_mesh[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert level[133, 1] == pytest.approx(level[362, 1], abs=1e-6)
    assert np.ptp(level[:, 0]) == pytest.approx(CROP_SIZE_PX / 1.5)


def test_the_crop_of_a_detection_has_its_points_at_the_template() -> None:
    matrix = detected_crop(BOX, POINTS)
    assert POINTS @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(CROP_TEMPLATE, abs=0.5)


def test_landmarks_are_made_of_the_mesh_s_points() -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = five_landmarks(ANSWER)
    assert left_eye == pytest.approx((ANSWER[33, :2] + ANSWER[133, :2]) / 2)
    assert right_eye == pytest.approx((ANSWER[362, :2] + ANSWER[263, :2]) / 2)
    assert nose == pytest.approx((2 * ANSWER[1, :2] + ANSWER[4, :2]) / 3)
    assert left_mouth == pytest.approx(ANSWER[61, :2])
    assert right_mouth == pytest.approx(ANSWER[291, :2])


# -- on real faces, with the pack's network ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(standard_pack: None) -> Engine:
    return Engine("standard")


def first_mesh(engine: Engine, pixels: NDArray[np.uint8]) -> FaceMesh:
    faces, _ = search(engine, decoded(open_image(pixels)))
    largest = int(np.argmax(faces.sides_px))
    assert engine.mesh is not None
    mesh = engine.mesh.fit(Pyramid.of(pixels), faces.boxes[largest], faces.points[largest])
    assert mesh is not None
    return mesh


def read(path: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path))
    scale = 640 / max(pixels.shape)
    return np.ascontiguousarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:, :, ::-1])


NAMES = ["obama.jpg", "obama2.jpg", "biden.jpg"]


@pytest.mark.engine
@pytest.mark.parametrize("name", NAMES)
def test_mirrored_photo_yaw_and_roll_change_sign_and_pitch_stays(
    engine: Engine, portraits: dict[str, Path], name: str
) -> None:
    pixels = read(portraits[name])
    one = pose_of_mesh(first_mesh(engine, pixels).points)
    other = pose_of_mesh(first_mesh(engine, np.ascontiguousarray(pixels[:, ::-1])).points)
    assert other.yaw == pytest.approx(-one.yaw, abs=3)
    assert other.roll == pytest.approx(-one.roll, abs=3)
    assert other.pitch == pytest.approx(one.pitch, abs=3)


@pytest.mark.engine
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("angle_deg", [30.0, -30.0, 90.0, 180.0, -90.0])
def test_turned_photo_roll_turns_with_it(
    engine: Engine, portraits: dict[str, Path], name: str, angle_deg: float
) -> None:
    pixels = read(portraits[name])
    side_px = int(np.hypot(*pixels.shape[:2])) + 1
    matrix = cv2.getRotationMatrix2D((pixels.shape[1] / 2, pixels.shape[0] / 2), -angle_deg, 1.0)
    matrix[:, 2] += (side_px - pixels.shape[1]) / 2, (side_px - pixels.shape[0]) / 2
    turned = np.asarray(cv2.warpAffine(pixels, matrix, (side_px, side_px)), dtype=np.uint8)
    one = pose_of_mesh(first_mesh(engine, pixels).points)
    other = pose_of_mesh(first_mesh(engine, turned).points)
    assert abs((other.roll - one.roll - angle_deg + 180) % 360 - 180) <= 3
    assert other.yaw == pytest.approx(one.yaw, abs=3)
    assert other.pitch == pytest.approx(one.pitch, abs=3)


@pytest.mark.engine
def test_a_photo_without_a_face_has_no_mesh(engine: Engine) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert engine.mesh is not None
    assert engine.mesh.fit(Pyramid.of(noise), [60, 60, 200, 220], placed(CROP_TEMPLATE) - (170, 60)) is None
