"""Faces are found at every size and turn that is promised, nowhere else, and reported in the photo's own frame."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from likeness import packs
from likeness.image import open_image
from likeness.vision.detection import Detections, Detector, begin, find_faces, largest, working_size
from likeness.vision.detectors import make_detector
from likeness.vision.findings import confidences
from likeness.vision.search_sizes import ladder
from likeness.vision.suppression import overlaps

Pixels = NDArray[np.uint8]

PORTRAITS = ("astronaut", "obama.jpg", "obama2.jpg", "biden.jpg")


@pytest.fixture(scope="module")
def detector(standard_pack: None) -> Detector:
    """The standard pack's detector."""
    pack = packs.load("standard", threads=2)
    role = pack.manifest.role("detector")
    return make_detector(role.family, pack.network("detector"), role.parameters)


@pytest.fixture(scope="module")
def scout(standard_pack: None) -> Detector:
    """The standard pack's scout."""
    pack = packs.load("standard", threads=2)
    role = pack.manifest.role("scout")
    return make_detector(role.family, pack.network("scout"), role.parameters)


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Path]) -> dict[str, Pixels]:
    """Portraits by name, RGB, at most 600 px."""
    pixels = {"astronaut": np.ascontiguousarray(data.astronaut())}
    for name in PORTRAITS[1:]:
        photo = open_image(portraits[name]).full()
        scale = 600 / max(photo.shape[:2])
        pixels[name] = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return pixels


class Doubting:
    """A scout that sees the same, and is sure of nothing."""

    def __init__(self, scout: Detector) -> None:
        self.seen_well_px = scout.seen_well_px
        self._scout = scout

    def detect(self, pixels: Pixels) -> Detections:
        seen = self._scout.detect(pixels)
        return Detections(seen.boxes, np.minimum(seen.scores, np.float32(0.4)), seen.points)


def one(found: tuple[Detections, int]) -> Detections:
    assert len(found[0]) == 1, found
    return found[0]


def turned(pixels: Pixels, clockwise_deg: float) -> tuple[Pixels, NDArray[np.float64]]:
    """The photo turned about its middle on a grey canvas that holds it all, and the transform of its points."""
    height, width = pixels.shape[:2]
    transform = cv2.getRotationMatrix2D((width / 2, height / 2), -clockwise_deg, 1)
    size = np.abs(transform[:, :2]) @ [width, height]
    transform[:, 2] += size / 2 - [width / 2, height / 2]
    canvas = tuple(int(side) for side in np.ceil(size - 1e-6))
    return cv2.warpAffine(pixels, transform, canvas, borderValue=(114, 114, 114)), transform


@pytest.mark.engine
@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_has_one_clear_face_where_it_is(
    detector: Detector, scout: Detector, faces: dict[str, Pixels], name: str
) -> None:
    found, turns = find_faces(detector, faces[name], scout=scout)
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
    detector: Detector, scout: Detector, faces: dict[str, Pixels], name: str, turns: int
) -> None:
    pixels = faces[name]
    upright = one(find_faces(detector, pixels, scout=scout))
    stored = np.ascontiguousarray(np.rot90(pixels, turns))  # counterclockwise: `turns` clockwise set it upright
    found, answered = find_faces(detector, stored, scout=scout)
    assert answered == turns
    face = one((found, answered))
    width, height = pixels.shape[1], pixels.shape[0]
    x, y = upright.points[0].T
    expected = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[turns]
    np.testing.assert_allclose(face.points[0], np.stack(expected, axis=1), atol=0.5)
    assert face.scores[0] == pytest.approx(upright.scores[0], abs=0.01)
    assert (face.boxes[0, 2:] > face.boxes[0, :2]).all()


@pytest.mark.engine
@pytest.mark.parametrize("angle", [-45, -30, -15, 15, 30, 45])
def test_faces_lean(detector: Detector, scout: Detector, faces: dict[str, Pixels], angle: int) -> None:
    for pixels in faces.values():
        upright = one(find_faces(detector, pixels, scout=scout)).points[0]
        canvas, transform = turned(pixels, angle)
        face = one(find_faces(detector, canvas, scout=scout))
        expected = upright @ transform[:, :2].T + transform[:, 2]
        between_eyes = np.linalg.norm(upright[1] - upright[0])
        assert np.linalg.norm(face.points[0] - expected, axis=1).mean() < 0.25 * between_eyes


@pytest.mark.engine
def test_without_search_for_rotations_the_photo_is_searched_once(
    detector: Detector, scout: Detector, faces: dict[str, Pixels]
) -> None:
    stored = np.ascontiguousarray(np.rot90(faces["obama.jpg"], 2))
    assert find_faces(detector, stored, search_rotations=False, scout=scout)[1] == 0


@pytest.mark.engine
@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160), (4000, 3000), (1080, 1920), (1280, 720), (640, 480)])
def test_the_smallest_face_promised_is_found(
    detector: Detector, scout: Detector, faces: dict[str, Pixels], size: tuple[int, int]
) -> None:
    """40 px wide (as the service's limit of 40x40 and benchmarks/small_faces.py have it) in 1920x1080, proportionally
    more in larger photos, among plain surroundings and wherever it stands.
    """
    width, height = size
    side = 40 * max(1920, *size) / 1920
    generator = np.random.default_rng(3)
    canvas = cv2.resize(generator.integers(60, 190, (9, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    places = []
    for pixels, (across, down) in zip(faces.values(), ((0.1, 0.15), (0.85, 0.1), (0.5, 0.45), (0.2, 0.8)), strict=True):
        face = one(find_faces(detector, pixels, scout=scout)).boxes[0]
        scale = side / float(face[2] - face[0])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        left, top = int(across * width), int(down * height)
        small = small[: height - top, : width - left]
        canvas[top : top + len(small), left : left + small.shape[1]] = small
        places.append(face * scale + [left, top, left, top])
    found, _ = find_faces(detector, canvas, scout=scout)
    shared = overlaps(np.array(places, np.float32), found.boxes)
    assert (shared.max(axis=1) > 0.4).all(), (shared.max(axis=1), found.scores)
    assert len(found) == len(places)


@pytest.mark.engine
@pytest.mark.parametrize("share", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("side", [120, 600, 1600])
def test_faces_that_fill_or_leave_the_frame(
    detector: Detector, scout: Detector, faces: dict[str, Pixels], share: float, side: int
) -> None:
    """`share` of the face's height is the photo's side."""
    for pixels in faces.values():
        x1, y1, x2, y2 = one(find_faces(detector, pixels, scout=scout)).boxes[0]
        reach = share * (y2 - y1) / 2
        left, top = max(0, int((x1 + x2) / 2 - reach)), max(0, int((y1 + y2) / 2 - reach))
        part = pixels[top : int((y1 + y2) / 2 + reach), left : int((x1 + x2) / 2 + reach)]
        crop = cv2.resize(part, (side, side * part.shape[0] // part.shape[1]), interpolation=cv2.INTER_CUBIC)
        found, _ = find_faces(detector, crop, scout=scout)
        assert len(found) >= 1
        assert areas_of(found)[0] > 0.3 * crop.shape[0] * crop.shape[1]


def areas_of(found: Detections) -> NDArray[np.float32]:
    boxes = largest(found, 1).boxes
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


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
def test_no_face_in_what_has_none(detector: Detector, scout: Detector, name: str, pixels: Pixels) -> None:
    found, turns = find_faces(detector, pixels, scout=scout)
    assert len(found) == 0
    assert turns == 0


@pytest.mark.engine
def test_a_squeezed_group_is_found_as_well_as_the_group(
    detector: Detector, scout: Detector, faces: dict[str, Pixels]
) -> None:
    tiles = [
        cv2.resize(pixels[: pixels.shape[1]], (200, 200), interpolation=cv2.INTER_AREA) for pixels in faces.values()
    ]
    group = np.hstack([*tiles, *tiles])
    natural, _ = find_faces(detector, group, scout=scout)
    squeezed = cv2.resize(group, (group.shape[1] * 55 // 100, group.shape[0]), interpolation=cv2.INTER_AREA)
    found, _ = find_faces(detector, squeezed, scout=scout)
    assert len(found) == len(natural) == 8
    shared = overlaps(natural.boxes, found.scaled(group.shape[1] / squeezed.shape[1], 1).boxes)
    assert (shared.max(axis=1) > 0.7).all()


@pytest.mark.engine
def test_the_same_photo_gives_the_same_faces(detector: Detector, scout: Detector, faces: dict[str, Pixels]) -> None:
    first, second = (find_faces(detector, faces["astronaut"], scout=scout)[0] for _ in range(2))
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.points, second.points)


class Scripted:
    """A detector that gives the same faces for every photo and remembers what it was shown."""

    seen_well_px = 24.0

    def __init__(self, *faces: tuple[float, float, float, float, float]) -> None:
        self.faces = np.array(faces, np.float32).reshape(-1, 5)
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, pixels: Pixels) -> Detections:
        self.shapes.append(pixels.shape)
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


def test_faces_settled_by_the_coarse_search_stay_as_it_saw_them() -> None:
    """At 1920x1080 the fine search always follows, as the coarse one is too coarse for what is promised."""
    scripted = Scripted((150, 60, 230, 164, 0.9), (250, 60, 270, 86, 0.8))
    found, turns = find_faces(scripted, np.zeros((1080, 1920, 3), np.uint8))
    assert scripted.shapes == [(128, 224, 3), (448, 800, 3)]
    assert turns == 0
    across, down = 1920 / 224, 1080 / 128
    np.testing.assert_allclose(found.boxes[0], [150 * across, 60 * down, 230 * across, 164 * down], rtol=1e-6)
    # What the coarse search saw too small is taken from the fine one, where the script puts it elsewhere.
    np.testing.assert_allclose(found.boxes[-1, 0], 250 * 1920 / 800, rtol=1e-6)


def test_of_a_source_photo_only_the_largest_face_is_looked_for() -> None:
    for faces, searches in (([LARGE], 1), ([LARGE, SMALL], 1), ([LARGE, (250, 60, 295, 118, 0.4)], 4), ([SMALL], 4)):
        scripted = Scripted(*faces)
        find_faces(scripted, np.zeros((886, 1280, 3), np.uint8), largest_only=True)
        assert len(scripted.shapes) == searches, faces


def test_source_and_target_settle_the_same_faces(detector: Detector, scout: Detector, faces: dict[str, Pixels]) -> None:
    for name, pixels in faces.items():
        photo = cv2.resize(pixels, (1920, 1920 * pixels.shape[0] // pixels.shape[1]))
        as_source, as_target = (
            largest(find_faces(detector, photo, largest_only=only, scout=scout)[0], 1) for only in (True, False)
        )
        np.testing.assert_array_equal(as_source.points, as_target.points, err_msg=name)


def coarse_and_fine(*faces: tuple[float, float, float, float, float]) -> list[tuple[int, ...]]:
    """The sizes at which a photo of 640x480 is searched when the detector answers so at every size."""
    scripted = Scripted(*faces)
    find_faces(scripted, np.zeros((480, 640, 3), np.uint8))
    return [shape[:2] for shape in scripted.shapes]


LARGE = (100.0, 60.0, 180.0, 164.0, 0.9)
SMALL = (250.0, 60.0, 266.0, 81.0, 0.9)
WEAK = (250.0, 60.0, 266.0, 81.0, 0.2)
COARSEST, COARSE, FINE = (128, 160), (224, 288), (480, 640)


@pytest.mark.parametrize(
    ("seen", "sizes"),
    [
        pytest.param([LARGE], [COARSEST, COARSE], id="a certain, large face and no sign of others"),
        pytest.param([LARGE, SMALL], [COARSEST, COARSE, FINE], id="a face too small to be seen well"),
        pytest.param([LARGE, WEAK], [COARSEST, COARSE, FINE], id="a weak answer that may be a small face"),
        pytest.param([LARGE, (110, 70, 130, 96, 0.2)], [COARSEST, COARSE], id="a weak answer within the large face"),
        pytest.param([LARGE, (110, 70, 130, 96, 0.4)], [COARSEST, COARSE, FINE], id="a face before the large face"),
        pytest.param([SMALL], [COARSEST, COARSE, FINE], id="only a small face"),
    ],
)
def test_the_fine_search_is_for_what_the_coarse_one_leaves_open(
    seen: list[tuple[float, float, float, float, float]], sizes: list[tuple[int, int]]
) -> None:
    assert coarse_and_fine(*seen) == sizes


@pytest.mark.parametrize(
    ("seen", "finely"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(180, 105, 324, 291, 0.9)], [], id="the large face"),
        pytest.param([(180, 105, 324, 291, 0.9), (250, 150, 266, 171, 0.3)], [], id="something weak within it"),
        pytest.param([(180, 105, 324, 291, 0.9), (250, 150, 266, 171, 0.8)], [FINE], id="a face before it"),
        pytest.param([(20, 20, 40, 46, 0.3)], [(160, 160)], id="something beside it"),
        pytest.param([(20, 20, 40, 46, 0.3), (0, 190, 16, 211, 0.4)], [(160, 160), (128, 128)], id="two things"),
        pytest.param([(20, 20, 40, 46, 0.6)], [FINE], id="a face beside it"),
        pytest.param([(20, 20, 40, 46, 0.3), (30, 20, 50, 46, 0.3)], [(160, 192)], id="two side by side"),
        pytest.param([(0, 0, 80, 104, 0.3), (200, 20, 280, 124, 0.3)], [FINE], id="much"),
    ],
)
def test_what_the_scout_sees_is_searched_finely_and_no_more(
    seen: list[tuple[float, float, float, float, float]], finely: list[tuple[int, int]]
) -> None:
    detector, scout = Scripted(LARGE), Scripted(*seen)
    found, _ = find_faces(detector, np.zeros((480, 640, 3), np.uint8), scout=scout)
    assert [shape[:2] for shape in scout.shapes] == [COARSE]  # where the least face that is promised has 17 px
    assert [shape[:2] for shape in detector.shapes] == [COARSEST, *finely]
    np.testing.assert_allclose(found.boxes[0], np.multiply(LARGE[:4], [4, 3.75, 4, 3.75]))


def test_the_scout_is_asked_only_where_the_largest_face_is_settled() -> None:
    scout = Scripted()
    find_faces(Scripted(SMALL), np.zeros((480, 640, 3), np.uint8), scout=scout)
    find_faces(Scripted(LARGE), np.zeros((480, 640, 3), np.uint8), scout=scout, largest_only=True)
    assert scout.shapes == []


def test_weak_answers_are_no_faces() -> None:
    found, _ = find_faces(Scripted(LARGE, WEAK), np.zeros((480, 640, 3), np.uint8))
    # The script puts the face elsewhere at each size, so it is found twice; the weak answer never is.
    assert set(found.scores.tolist()) == {np.float32(0.9)}


@given(st.integers(80, 6000), st.integers(80, 6000))
def test_searches_get_finer_and_none_that_is_too_coarse_may_be_the_last(width: int, height: int) -> None:
    rungs = ladder(width, height)
    assert 1 <= len(rungs) <= 4
    assert rungs[-1].size == working_size(width, height)
    assert rungs[-1].keeps_promise
    for coarser, finer in itertools.pairwise(rung.size for rung in rungs):
        assert coarser[0] * coarser[1] * 1.5 <= finer[0] * finer[1]
    promised = max(800 / max(width, height, 1920), np.sqrt(60_000 / (width * height)))
    for rung in rungs[:-1]:
        kept = rung.size[0] >= width * promised and rung.size[1] >= height * promised
        assert rung.keeps_promise == kept


def test_a_doubtful_face_never_outgrows_the_certain_ones() -> None:
    scripted = Scripted((400, 100, 440, 152, 0.9), (100, 100, 300, 360, 0.3), (500, 100, 520, 126, 0.3))
    found, _ = find_faces(scripted, np.zeros((544, 960, 3), np.uint8))
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert largest(found, 1).scores[0] == pytest.approx(0.9)


def test_a_lone_doubtful_finding_is_no_face() -> None:
    found, turns = find_faces(Scripted((100, 100, 140, 152, 0.35)), np.zeros((544, 960, 3), np.uint8))
    assert (len(found), turns) == (0, 0)


def test_the_largest_come_first_and_no_more_than_asked() -> None:
    faces = [(10 * i, 0, 10 * i + side, side * 1.3, 0.9) for i, side in enumerate([5, 9, 7, 9, 3])]
    found = Scripted(*faces).detect(np.zeros((1, 1, 3), np.uint8))
    chosen = largest(found, 3)
    assert chosen.boxes[:, 0].tolist() == [10, 30, 20]
    assert len(largest(found, 100)) == 5


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((1920, 1080), (800, 448)),
        ((4032, 3024), (768, 576)),
        ((1280, 886), (704, 512)),
        ((640, 480), (640, 480)),
        ((250, 250), (512, 512)),
        ((80, 80), (160, 160)),
    ],
)
def test_working_sizes(photo: tuple[int, int], expected: tuple[int, int]) -> None:
    assert working_size(*photo) == expected


@pytest.mark.parametrize("photo", [(12000, 8000), (4000, 3000), (30000, 100), (100, 30000), (800, 600), (80, 2000)])
def test_the_work_is_bounded_for_every_shape(photo: tuple[int, int]) -> None:
    width, height = working_size(*photo)
    assert width % 32 == height % 32 == 0
    assert width * height <= 768 * 576 * 1.1


def test_a_small_face_beside_a_large_one_is_found(
    detector: Detector, scout: Detector, faces: dict[str, Pixels]
) -> None:
    canvas = np.full((1080, 1920, 3), 96, np.uint8)
    for left, side in ((0, 1080), (1500, 256)):
        canvas[:side, left : left + side] = cv2.resize(faces["astronaut"], (side, side), interpolation=cv2.INTER_AREA)
    found, _ = find_faces(detector, canvas, scout=scout)
    assert len(found) == 2
    # Where the scout is in doubt of it, as where it is sure.
    in_doubt = Doubting(scout)
    again, _ = find_faces(detector, canvas, scout=in_doubt)
    np.testing.assert_allclose(largest(again, 2).boxes, largest(found, 2).boxes, atol=6)


def test_settled_faces_are_known_before_the_search_is_finished() -> None:
    photo = np.zeros((480, 640, 3), np.uint8)
    detector, scout = Scripted(LARGE), Scripted()
    search = begin(detector, photo, scout=scout)
    assert (len(search.settled), scout.shapes) == (1, [])
    found, turns = search.finish()
    np.testing.assert_array_equal(found.boxes, search.settled.boxes)
    assert turns == 0
    search.finish()
    assert len(scout.shapes) == 1
    # Where more is open than whether there are others, nothing is settled.
    assert len(begin(Scripted(SMALL), photo, scout=scout).settled) == 0
    assert len(begin(Scripted(LARGE), photo).settled) == 0
    assert len(begin(Scripted(LARGE), photo, scout=scout, largest_only=True).settled) == 0


def test_the_picture_for_the_scout_may_be_made_by_somebody_else() -> None:
    photo = np.zeros((480, 640, 3), np.uint8)
    detector, scout, offered = Scripted(LARGE), Scripted(), []

    def offer(work: Callable[[], object]) -> None:
        assert detector.shapes == []
        offered.append(work())

    begin(detector, photo, scout=scout, offer=offer).finish()
    assert [picture.shape for picture in offered] == scout.shapes
    # Where no scout will be asked there is no work, but nobody waits for it in vain.
    offered.clear()
    detector.shapes.clear()
    begin(detector, photo, scout=scout, largest_only=True, offer=offer)
    assert offered == [None]


def test_the_smallest_face_seen_so_far_is_known_before_the_search_is_finished() -> None:
    photo = np.zeros((480, 640, 3), np.uint8)
    detector = Scripted(LARGE, SMALL)
    seen_px = begin(detector, photo).smallest_px
    assert seen_px == pytest.approx((SMALL[3] - SMALL[1]) * 480 / detector.shapes[-1][0])
    assert begin(Scripted(), photo).smallest_px == np.inf
