"""Faces are found at every promised size and rotation, not elsewhere, and are reported in the photo's coordinates."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from likeness.engine import Engine
from likeness.errors import PackInvalid
from likeness.image import open_image
from likeness.pipeline import Wanted, analyse, decoded, search
from likeness.vision.detection import (
    CERTAIN_SCORE,
    Detections,
    confidences,
    find_faces,
    merged,
    search_sizes,
)
from likeness.vision.pyramid import Size
from likeness.vision.suppression import areas, overlaps

Pixels = NDArray[np.uint8]

PORTRAITS = ("astronaut", "obama.jpg", "obama2.jpg", "biden.jpg")


@pytest.fixture(scope="module")
def engine(standard_pack: None) -> Engine:
    return Engine("standard")


def found_in(engine: Engine, pixels: Pixels, *, search_rotations: bool = True) -> tuple[Detections, int]:
    return search(engine, decoded(open_image(pixels)), search_rotations)


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Path]) -> dict[str, Pixels]:
    """Portraits by name, RGB, at most 600 px."""
    pixels = {"astronaut": np.ascontiguousarray(data.astronaut())}
    for name in PORTRAITS[1:]:
        photo = open_image(portraits[name]).pixels()
        scale = 600 / max(photo.shape[:2])
        pixels[name] = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return pixels


def one(found: tuple[Detections, int]) -> Detections:
    assert len(found[0]) == 1, found
    return found[0]


def turned(pixels: Pixels, clockwise_deg: float) -> tuple[Pixels, NDArray[np.float64]]:
    """The photo rotated about its centre on a grey canvas that contains all of it, and the transform of its points."""
    height, width = pixels.shape[:2]
    transform = cv2.getRotationMatrix2D((width / 2, height / 2), -clockwise_deg, 1)
    size = np.abs(transform[:, :2]) @ [width, height]
    transform[:, 2] += size / 2 - [width / 2, height / 2]
    canvas = tuple(int(side) for side in np.ceil(size - 1e-6))
    return cv2.warpAffine(pixels, transform, canvas, borderValue=(114, 114, 114)), transform


@pytest.mark.engine
@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_has_one_clear_face_where_it_is(engine: Engine, faces: dict[str, Pixels], name: str) -> None:
    found, turns = found_in(engine, faces[name])
    assert turns == 0
    face = one((found, turns))
    assert confidences(face.scores)[0] >= 99.9
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    x1, y1, x2, y2 = face.boxes[0]
    assert (face.points[0] >= [x1, y1]).all()
    assert (face.points[0] <= [x2, y2]).all()


@pytest.mark.engine
@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_turned_by_right_angles_shows_the_same_face(
    engine: Engine, faces: dict[str, Pixels], name: str, turns: int
) -> None:
    pixels = faces[name]
    upright = one(found_in(engine, pixels))
    stored = np.ascontiguousarray(np.rot90(pixels, turns))  # counterclockwise: `turns` clockwise set it upright
    found, answered = found_in(engine, stored)
    assert answered == turns
    face = one((found, answered))
    width, height = pixels.shape[1], pixels.shape[0]
    x, y = upright.points[0].T
    expected = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[turns]
    between_eyes = np.linalg.norm(upright.points[0, 1] - upright.points[0, 0])
    np.testing.assert_allclose(face.points[0], np.stack(expected, axis=1), atol=0.02 * between_eyes)
    assert face.scores[0] == pytest.approx(upright.scores[0], abs=0.02)
    assert (face.boxes[0, 2:] > face.boxes[0, :2]).all()


@pytest.mark.engine
def test_without_search_for_rotations_the_photo_is_searched_once(engine: Engine, faces: dict[str, Pixels]) -> None:
    stored = np.ascontiguousarray(np.rot90(faces["obama.jpg"], 2))
    assert found_in(engine, stored, search_rotations=False)[1] == 0


@pytest.mark.engine
@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160), (4000, 3000), (1080, 1920), (1280, 720), (640, 480)])
def test_the_smallest_face_promised_is_found(engine: Engine, faces: dict[str, Pixels], size: tuple[int, int]) -> None:
    """40 px wide (as the service's limit of 40x40 and benchmarks/small_faces.py have it) in 1920x1080, proportionally
    more in larger photos, among plain surroundings and wherever it stands.
    """
    width, height = size
    side = 40 * max(1920, *size) / 1920
    generator = np.random.default_rng(3)
    canvas = cv2.resize(generator.integers(60, 190, (9, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    places = []
    for pixels, (across, down) in zip(faces.values(), ((0.1, 0.15), (0.85, 0.1), (0.5, 0.45), (0.2, 0.8)), strict=True):
        face = one(found_in(engine, pixels)).boxes[0]
        scale = side / float(face[2] - face[0])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        left, top = int(across * width), int(down * height)
        small = small[: height - top, : width - left]
        canvas[top : top + len(small), left : left + small.shape[1]] = small
        places.append(face * scale + [left, top, left, top])
    found, _ = found_in(engine, canvas)
    shared = overlaps(np.array(places, np.float32), found.boxes)
    assert (shared.max(axis=1) > 0.4).all(), (shared.max(axis=1), found.scores)
    assert len(found) == len(places)


@pytest.mark.engine
@pytest.mark.parametrize("share", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("side", [120, 600, 1600])
def test_faces_that_fill_or_leave_the_frame(engine: Engine, faces: dict[str, Pixels], share: float, side: int) -> None:
    """`share` of the face's height is the photo's side."""
    for pixels in faces.values():
        x1, y1, x2, y2 = one(found_in(engine, pixels)).boxes[0]
        reach = share * (y2 - y1) / 2
        left, top = max(0, int((x1 + x2) / 2 - reach)), max(0, int((y1 + y2) / 2 - reach))
        part = pixels[top : int((y1 + y2) / 2 + reach), left : int((x1 + x2) / 2 + reach)]
        crop = cv2.resize(part, (side, side * part.shape[0] // part.shape[1]), interpolation=cv2.INTER_CUBIC)
        found, _ = found_in(engine, crop)
        assert len(found) >= 1
        assert areas_of(found)[0] > 0.3 * crop.shape[0] * crop.shape[1]


def areas_of(found: Detections) -> NDArray[np.float32]:
    return np.sort(areas(found.boxes))[::-1]


def faceless() -> Iterator[tuple[str, Pixels]]:
    generator = np.random.default_rng(5)
    yield "noise", generator.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    yield "black", np.zeros((300, 400, 3), np.uint8)
    yield "white", np.full((300, 400, 3), 255, np.uint8)
    for cell in (2, 8, 32):
        coarse = generator.integers(0, 256, (480 // cell, 640 // cell, 3), dtype=np.uint8)
        yield f"clouds of {cell} px", cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    for name in ("brick", "grass", "gravel", "coins", "page", "text"):
        picture = getattr(data, name)()
        yield name, cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    for name in ("coffee", "chelsea", "rocket"):
        yield name, np.ascontiguousarray(getattr(data, name)())


@pytest.mark.engine
@pytest.mark.parametrize(("name", "pixels"), [pytest.param(*each, id=each[0]) for each in faceless()])
def test_a_photo_without_faces(engine: Engine, name: str, pixels: Pixels) -> None:
    found, turns = found_in(engine, pixels)
    assert len(found) == 0
    assert turns == 0


@pytest.mark.engine
def test_the_same_photo_gives_the_same_faces(engine: Engine, faces: dict[str, Pixels]) -> None:
    first, second = (found_in(engine, faces["astronaut"])[0] for _ in range(2))
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.points, second.points)


@pytest.mark.engine
def test_a_small_face_beside_a_large_one_is_found(engine: Engine, faces: dict[str, Pixels]) -> None:
    canvas = np.full((1080, 1920, 3), 96, np.uint8)
    for left, side in ((0, 1080), (1500, 256)):
        canvas[:side, left : left + side] = cv2.resize(faces["astronaut"], (side, side), interpolation=cv2.INTER_AREA)
    assert len(found_in(engine, canvas)[0]) == 2


def landmarks_px(engine: Engine, pixels: Pixels) -> NDArray[np.float64]:
    """The five landmarks (5, 2) px of the largest face in the answer."""
    face = analyse(engine, open_image(pixels), Wanted(1)).faces[0]
    return np.array([(point.x, point.y) for point in face.landmarks]) * pixels.shape[1::-1]


@pytest.mark.engine
@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_landmarks_are_right_at_every_angle(engine: Engine, faces: dict[str, Pixels], angle: int) -> None:
    """Upside down and aslant, detectors answer with points that seem to stand upright: those are not believed."""
    for name, pixels in faces.items():
        upright = landmarks_px(engine, pixels)
        canvas, transform = turned(pixels, angle)
        expected = upright @ transform[:, :2].T + transform[:, 2]
        between_eyes = np.linalg.norm(upright[1] - upright[0])
        off = np.linalg.norm(landmarks_px(engine, canvas) - expected, axis=1)
        assert off.mean() < 0.12 * between_eyes, name
        turns = found_in(engine, canvas)[1]
        assert abs((angle + 90 * turns + 180) % 360 - 180) <= 60, (name, turns)


class Scripted:
    """A detector that returns the same faces for every picture and records the pictures."""

    def __init__(self, *faces: tuple[float, float, float, float, float]) -> None:
        self.faces = np.array(faces, np.float32).reshape(-1, 5)
        self.sizes: list[Size] = []

    def detect(self, pixels: Pixels) -> Detections:
        self.sizes.append((pixels.shape[1], pixels.shape[0]))
        boxes = self.faces[:, :4]
        x1, y1, x2, y2 = boxes.T
        across, down = (x2 - x1)[:, None], (y2 - y1)[:, None]
        points = np.stack(
            [
                x1[:, None] + across * np.array([0.3, 0.7, 0.5, 0.33, 0.67], np.float32),
                y1[:, None] + down * np.array([0.4, 0.4, 0.57, 0.75, 0.75], np.float32),
            ],
            axis=2,
        )
        return Detections(boxes, self.faces[:, 4], points)


def searched(scripted: Scripted, size: Size) -> Detections:
    return find_faces(scripted, size, lambda look: np.zeros((look[1], look[0], 3), np.uint8))


def test_a_box_that_is_not_finite_is_an_error_of_the_pack() -> None:
    with pytest.raises(PackInvalid, match="the detector gives NaN or infinity for a face: its weights"):
        searched(Scripted((100.0, np.nan, 180.0, 164.0, 0.9)), (640, 480))


LARGE = (100.0, 60.0, 180.0, 164.0, 0.9)
SMALL = (250.0, 60.0, 266.0, 81.0, 0.9)


@pytest.mark.parametrize(
    ("seen", "looks"),
    [
        pytest.param([LARGE], 1, id="a certain, large face"),
        pytest.param([LARGE, SMALL], 2, id="a small face"),
        pytest.param([LARGE, (250, 60, 266, 81, 0.35)], 2, id="what may be a small face"),
        pytest.param([LARGE, (250, 60, 290, 112, 0.35)], 1, id="a doubtful face that is not small"),
        pytest.param([(100, 60, 180, 164, 0.5)], 2, id="no certain face"),
        pytest.param([], 2, id="nothing"),
    ],
)
def test_a_finer_search_follows_where_faces_are_small_or_none_is_certain(
    seen: list[tuple[float, float, float, float, float]], looks: int
) -> None:
    scripted = Scripted(*seen)
    searched(scripted, (1280, 886))
    assert scripted.sizes == list(search_sizes(1280, 886))[:looks]


def test_faces_come_in_px_of_the_photo() -> None:
    found = searched(Scripted(LARGE), (1280, 886))
    across, down = np.array([1280, 886]) / search_sizes(1280, 886)[0]
    np.testing.assert_allclose(found.boxes[0], np.multiply(LARGE[:4], [across, down, across, down]), rtol=1e-6)


def detections(*faces: tuple[float, float, float, float, float]) -> Detections:
    return Scripted(*faces).detect(np.zeros((1, 1, 3), np.uint8))


def test_of_two_looks_at_a_face_the_better_stays() -> None:
    coarse = detections((100, 60, 180, 164, 0.8), (300, 60, 320, 86, 0.7))
    fine = detections((102, 62, 181, 163, 0.9), (500, 60, 510, 73, 0.6))
    found, of = merged([fine, coarse])
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert of.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(found.points[0], fine.points[0])


def test_doubtful_faces_count_beside_a_certain_one_and_where_they_are_small() -> None:
    small, large, unsure = (250, 60, 290, 112, 0.3), (100, 160, 180, 264, 0.45), (300, 160, 380, 264, 0.55)
    found = searched(Scripted(LARGE, small, large, unsure), (1280, 886))
    assert sorted(found.scores.tolist()) == pytest.approx([0.3, 0.55, 0.9])


def test_a_lone_doubtful_finding_is_no_face() -> None:
    assert len(searched(Scripted((100, 100, 140, 152, CERTAIN_SCORE - 0.01)), (1280, 886))) == 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_confidence_rises_with_the_score(one_score: float, other: float) -> None:
    low, high = confidences(np.sort(np.array([one_score, other], np.float32)))
    assert 0 < low <= high < 100


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((1920, 1080), (608, 320)),
        ((4032, 3024), (512, 384)),
        ((1280, 886), (544, 384)),
        ((640, 480), (448, 352)),
        ((250, 250), (320, 320)),
        ((80, 80), (160, 160)),
    ],
)
def test_sizes_of_the_first_look(photo: Size, expected: Size) -> None:
    assert search_sizes(*photo)[0] == expected


@pytest.mark.parametrize("photo", [(12000, 8000), (4000, 3000), (30000, 100), (100, 30000), (800, 600), (80, 2000)])
def test_the_work_is_bounded_for_every_shape(photo: Size) -> None:
    for (width, height), most in zip(search_sizes(*photo), (200_000, 700_000), strict=True):
        assert width % 32 == height % 32 == 0
        assert width * height <= most * 1.4


@pytest.mark.engine
def test_of_a_photo_without_faces_nothing_is_left(engine: Engine) -> None:
    found, _ = found_in(engine, np.zeros((200, 300, 3), np.uint8))
    assert found.boxes.shape == (0, 4)
    assert areas(found.boxes).shape == (0,)
