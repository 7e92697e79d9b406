"""Places of a photo that are searched finely: which, and what of it counts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.pyramid import Pyramid
from likeness.vision.detector import Detections
from likeness.vision.spots import search_spots

SIZE = (640, 480)


class Finder:
    """Sees one face where a picture is brightest, 20 px wide and 26 high, and remembers what it was shown."""

    seen_well_px = 24.0

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        self.shapes.append(pixels.shape[:2])
        row, column = np.unravel_index(int(pixels[..., 0].argmax()), pixels.shape[:2])
        box = np.array([[column - 10, row - 13, column + 10, row + 13]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.tile(box[:, None, :2] + 10, (1, 5, 1)))


def photo_with_a_light_at(column: int, row: int) -> Pyramid:
    pixels = np.zeros((960, 1280, 3), np.uint8)
    pixels[row - 2 : row + 2, column - 2 : column + 2] = 255
    return Pyramid(pixels)


@pytest.mark.parametrize(("column", "row"), [(400, 300), (40, 30), (1240, 930), (1240, 30)])
def test_what_is_in_a_spot_is_found_in_pixels_of_the_photo(column: int, row: int) -> None:
    asked = np.array([[column - 16, row - 20, column + 16, row + 20]], np.float32)
    detector = Finder()
    found = search_spots(detector, photo_with_a_light_at(column, row), SIZE, asked)
    assert found is not None
    assert detector.shapes == [(128, 128)]
    (box,) = found.boxes
    assert np.allclose((box[:2] + box[2:]) / 2, (column, row), atol=4)
    assert np.allclose(box[2:] - box[:2], (40, 52))  # the search shows the photo at half its size
    assert np.allclose(found.points[0, 0], box[:2] + 20)


def test_what_reaches_out_of_a_spot_is_left_to_the_search_that_sees_it_whole() -> None:
    asked = np.array([[384, 280, 416, 320]], np.float32)
    found = search_spots(Finder(), photo_with_a_light_at(285, 300), SIZE, asked)
    assert found is not None
    assert len(found) == 0


def test_spots_that_meet_are_one_and_much_is_all() -> None:
    photo, detector = photo_with_a_light_at(400, 300), Finder()
    search_spots(detector, photo, SIZE, np.array([[384, 280, 416, 320], [440, 280, 470, 320]], np.float32))
    assert detector.shapes == [(128, 160)]
    corners = [[x, y, x + 200, y + 200] for x in (100, 900) for y in (100, 700)]
    assert search_spots(detector, photo, SIZE, np.array(corners, np.float32)) is None
    assert len(detector.shapes) == 1
