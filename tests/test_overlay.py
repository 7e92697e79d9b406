"""The annotated picture: legible without colours, on any background and at any size; written atomically."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageChops

from likeness import overlay
from likeness.faces import (
    LANDMARK_TYPES,
    BoundingBox,
    Comparison,
    Face,
    FaceMatch,
    Landmark,
    Pose,
    Quality,
)
from likeness.overlay import OverlayNotWritten, draw_overlay, write_overlay

PLACES = {"eyeLeft": (0.28, 0.39), "eyeRight": (0.72, 0.39), "mouthLeft": (0.3, 0.75), "mouthRight": (0.7, 0.75)}


def face(left: float, top: float, width: float, height: float) -> Face:
    at = [(PLACES.get(name, (0.5, 0.58)), name) for name in LANDMARK_TYPES]
    return Face(
        bounding_box=BoundingBox(width=width, height=height, left=left, top=top),
        confidence=99.9,
        landmarks=tuple(Landmark(type=name, x=left + x * width, y=top + y * height) for (x, y), name in at),
        pose=Pose(roll=0, yaw=0, pitch=0),
        quality=Quality(brightness=60, sharpness=90),
    )


def comparison(matches: list[FaceMatch] | None = None, unmatched: list[FaceMatch] | None = None) -> Comparison:
    return Comparison(source=face(0.3, 0.2, 0.4, 0.5), matches=tuple(matches or ()), unmatched=tuple(unmatched or ()))


def plain(width: int, height: int, value: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, dtype=np.uint8)


ONE_OF_EACH = comparison(
    [FaceMatch(similarity=98.76, face=face(0.1, 0.3, 0.3, 0.4))],
    [FaceMatch(similarity=12.3, face=face(0.6, 0.3, 0.3, 0.4))],
)


def target_panel(picture: Image.Image, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The target photo's part of the picture: what changes when it is drawn lighter and darker."""
    pixels = np.asarray(picture)
    height = 480 if max(len(source), len(target)) <= 480 else max(len(source), len(target))
    width = round(target.shape[1] * height / len(target))
    return pixels[overlay_strip(picture, height) :][:height, -width - 16 : -16]


def overlay_strip(picture: Image.Image, height: int) -> int:
    return (picture.height - height - 16) // 2


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_matches_are_solid_and_others_dashed_on_any_background(ground: int) -> None:
    photo = plain(600, 480, ground)
    panel = target_panel(draw_overlay(photo, photo, ONE_OF_EACH), photo, photo).astype(int)
    along_match = panel[round(0.7 * 480), round(0.1 * 600) + 12 : round(0.4 * 600) - 12]
    along_other = panel[round(0.7 * 480), round(0.6 * 600) + 12 : round(0.9 * 600) - 12]
    assert (np.abs(along_match - along_match[0]).max(axis=1) <= 2).all()
    gaps = (np.abs(along_other - ground).max(axis=1) <= 2).astype(int)
    assert 2 <= np.count_nonzero(np.diff(gaps) == 1) <= 10


@pytest.mark.parametrize("ground", [0, 60, 128, 200, 255])
def test_lines_are_visible_on_any_background(ground: int) -> None:
    """Across a box's side there is a core or an edge at least 60 grey levels from the photo."""
    photo = plain(600, 480, ground)
    panel = target_panel(draw_overlay(photo, photo, ONE_OF_EACH), photo, photo).astype(float)
    across = panel[round(0.55 * 480), 45:75] @ (0.299, 0.587, 0.114)
    assert np.abs(across - ground).max() > 60


def test_without_colours_a_match_still_differs_from_the_rest() -> None:
    photo = plain(600, 480, 128)
    swapped = comparison(
        [FaceMatch(similarity=98.76, face=face(0.6, 0.3, 0.3, 0.4))],
        [FaceMatch(similarity=12.3, face=face(0.1, 0.3, 0.3, 0.4))],
    )
    one, other = (draw_overlay(photo, photo, each).convert("L") for each in (ONE_OF_EACH, swapped))
    assert np.count_nonzero(np.asarray(ImageChops.difference(one, other)) > 60) > 500


@pytest.mark.parametrize(
    "size", [(80, 80), (200, 150), (640, 480), (4000, 3000), (3000, 4000), (5000, 300), (90, 3000)]
)
def test_every_size_gives_a_picture_of_a_legible_size(size: tuple[int, int]) -> None:
    photo = plain(*size, 90)
    picture = draw_overlay(photo, photo, ONE_OF_EACH)
    assert picture.mode == "RGB"
    assert picture.width <= 2 * 1600 + 48
    assert 120 <= picture.height <= 1080 + 16 + 120


@pytest.mark.parametrize(
    ("similarity", "text"), [(100.0, "100.0"), (99.99, "99.9"), (79.999, "79.9"), (80.0, "80.0"), (0.0, "0.0")]
)
def test_similarities_are_rounded_down(similarity: float, text: str) -> None:
    assert overlay._percent(similarity) == text


def test_labels_of_a_hundred_faces_do_not_hide_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    grounds: list[overlay.Rectangle] = []
    draw_label = overlay._draw_label

    def recorded(*arguments: object) -> overlay.Rectangle:
        grounds.append(draw_label(*arguments))  # type: ignore[arg-type]
        return grounds[-1]

    monkeypatch.setattr(overlay, "_draw_label", recorded)
    faces = [
        FaceMatch(
            similarity=50 + place / 10, face=face(0.1 * (place % 10) + 0.03, 0.1 * (place // 10) + 0.035, 0.03, 0.05)
        )
        for place in range(100)
    ]
    photo = plain(1600, 1000, 128)
    draw_overlay(photo, photo, comparison(unmatched=faces))
    assert len(grounds) == 100
    for place, ground in enumerate(grounds):
        assert overlay._covered(ground, grounds[:place]) == 0


@settings(max_examples=25, deadline=None)
@given(
    boxes=st.lists(
        st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.0001, 3), st.floats(0.0001, 3)), max_size=6
    )
)
def test_boxes_anywhere_can_be_drawn(boxes: list[tuple[float, float, float, float]]) -> None:
    found = [FaceMatch(similarity=99 - place, face=face(*box)) for place, box in enumerate(boxes)]
    draw_overlay(plain(100, 100, 50), plain(120, 90, 50), comparison(found[::2], found[1::2]))


@pytest.mark.parametrize("size", [(80, 80), (4000, 3000), (90, 3000)])
def test_an_answer_without_a_calibration_is_marked(size: tuple[int, int]) -> None:
    photo = plain(*size, 90)
    usual, marked = (draw_overlay(photo, photo, replace(ONE_OF_EACH, calibrated=each)) for each in (True, False))
    below = np.asarray(marked)[usual.height :]
    written = np.argwhere((below == overlay._COLOURS["no match"]).all(axis=2))
    assert len(written) > 300
    # Nothing of it is cut off, and the rest of the picture is as usual.
    assert written[:, 1].max() < marked.width - overlay._GAP_PX
    assert written[:, 0].max() < len(below) - 2
    cropped = marked.crop((0, 0, *usual.size))
    assert np.array_equal(
        np.asarray(cropped)[:, : usual.width - overlay._GAP_PX], np.asarray(usual)[:, : -overlay._GAP_PX]
    )


def test_the_photos_are_there_beneath_the_lines() -> None:
    red, green = plain(300, 480, 0), plain(300, 480, 0)
    red[..., 0], green[..., 1] = 200, 200
    pixels = np.asarray(draw_overlay(red, green, comparison()))
    assert (pixels == (200, 0, 0)).all(axis=2).mean() > 0.2
    assert (pixels == (0, 200, 0)).all(axis=2).mean() > 0.2


def test_the_same_comparison_gives_the_same_file(tmp_path: Path) -> None:
    photo = plain(200, 200, 70)
    for name in ("one.png", "two.png"):
        write_overlay(tmp_path / name, photo, photo, ONE_OF_EACH)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_photos_may_be_files_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(plain(200, 200, 70)).save(path)
    from_pixels = draw_overlay(plain(200, 200, 70), plain(200, 200, 70), ONE_OF_EACH)
    assert draw_overlay(path, path.read_bytes(), ONE_OF_EACH) == from_pixels


@pytest.mark.parametrize("name", ["missing/out.png", "."])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OverlayNotWritten) as caught:
        write_overlay(tmp_path / name, plain(100, 100, 0), plain(100, 100, 0), ONE_OF_EACH)
    assert str(tmp_path / name) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OverlayNotWritten, match="No space left"):
        write_overlay(path, plain(100, 100, 0), plain(100, 100, 0), ONE_OF_EACH)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_ordinary_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_overlay(tmp_path / "out.png", plain(100, 100, 0), plain(100, 100, 0), ONE_OF_EACH)
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o640
