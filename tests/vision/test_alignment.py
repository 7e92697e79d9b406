"""Chips: points are mapped onto the template for all rotations, scales and positions; nothing is invented outside."""

import cv2
import numpy as np
import pytest
import skimage.transform
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.vision.alignment import (
    Aligner,
    View,
    similarity_transform,
    warp_chip,
)
from likeness.vision.mesh_model import MEAN_FIVE, MEAN_RIGID, RIGID
from likeness.vision.pyramid import Pyramid

SIZE_PX = 150
TEMPLATE = np.array([[47.6, 47.1], [102.6, 46.6], [74.6, 79.1], [50.9, 104.1], [97.6, 103.4]])


def cut_chip(
    photo: NDArray[np.uint8], points: NDArray[np.float64], template: NDArray[np.float64], size_px: int
) -> NDArray[np.uint8]:
    return warp_chip(Pyramid.of(photo), similarity_transform(points, template), size_px)


def turned(
    points: NDArray[np.float64], degrees: float, scale: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ turn.T + shift)


@given(st.floats(-180, 180), st.floats(0.05, 20), st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)))
def test_a_turn_scale_and_shift_is_undone(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    transform = similarity_transform(turned(TEMPLATE, degrees, scale, shift), TEMPLATE)
    found = np.c_[turned(TEMPLATE, degrees, scale, shift), np.ones(5)] @ transform.T
    assert np.allclose(found, TEMPLATE, atol=1e-6)


def test_mirrored_points_are_not_mirrored_back() -> None:
    transform = similarity_transform(TEMPLATE * (-1, 1), TEMPLATE)
    assert np.linalg.det(transform[:, :2]) > 0


def test_points_that_coincide_give_a_finite_chip() -> None:
    points = np.full((5, 2), 20.0)
    assert np.isfinite(similarity_transform(points, TEMPLATE)).all()
    assert cut_chip(np.zeros((40, 40, 3), np.uint8), points, TEMPLATE, SIZE_PX).shape == (150, 150, 3)


@pytest.mark.parametrize("degrees", [0, 33, 90, -140])
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.7, 9.0])
def test_marks_at_the_points_appear_at_the_template(degrees: float, scale: float) -> None:
    side_px = int(260 * scale) + 8
    points = turned(TEMPLATE - 75, degrees, scale, (side_px / 2, side_px / 2))
    for place in range(5):
        # A blurred spot with subpixel position: pixel (x, y) has its centre at (x + 0.5, y + 0.5).
        y, x = np.mgrid[0:side_px, 0:side_px] + 0.5
        spot = np.exp(-((x - points[place, 0]) ** 2 + (y - points[place, 1]) ** 2) / (2 * (2.5 * scale) ** 2))
        photo = np.repeat((spot * 255).astype(np.uint8)[..., None], 3, axis=2)
        chip = cut_chip(photo, points, TEMPLATE, SIZE_PX)[..., 0].astype(float)
        rows, columns = np.mgrid[0:SIZE_PX, 0:SIZE_PX] + 0.5
        centre = np.array([(columns * chip).sum(), (rows * chip).sum()]) / chip.sum()
        assert np.allclose(centre, TEMPLATE[place], atol=0.15)


def test_chips_are_those_of_an_independent_warp() -> None:
    generator = np.random.default_rng(5)
    noise = generator.uniform(0, 255, (400, 400, 3)).astype(np.float32)
    photo = cv2.GaussianBlur(noise, (0, 0), 4)
    photo = np.clip((photo - photo.mean()) * 8 + 128, 0, 255).astype(np.uint8)
    # At a scale near 1, which uses no reduced picture; its pixels have their centres at integers.
    points = turned(TEMPLATE - 75, 12, 1.1, (200, 190))
    back = skimage.transform.SimilarityTransform.from_estimate(TEMPLATE - 0.5, points - 0.5)
    theirs = skimage.transform.warp(photo, back, output_shape=(SIZE_PX, SIZE_PX), order=1, preserve_range=True)
    ours = cut_chip(photo, points, TEMPLATE, SIZE_PX)
    assert np.abs(ours.astype(int) - theirs).mean() < 1.5


def test_outside_the_photo_is_black() -> None:
    photo = np.full((100, 100, 3), 200, np.uint8)
    chip = cut_chip(photo, turned(TEMPLATE, 0, 1, (-60, 0)), TEMPLATE, SIZE_PX)
    assert chip[:100, :50].max() == 0
    assert chip[20:90, 70:140].min() == 200
    assert cut_chip(photo, TEMPLATE + 5000, TEMPLATE, SIZE_PX).max() == 0


def test_a_large_face_is_averaged_not_sampled() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), 1500)
    photo = np.repeat(np.repeat(stripes[None, :, None], 3000, axis=0), 3, axis=2)
    chip = cut_chip(photo, turned(TEMPLATE, 0, 19.3, (40, 40)), TEMPLATE, SIZE_PX)
    assert chip[10:140, 10:140].std() < 6


def test_a_photo_wider_than_opencv_can_warp() -> None:
    photo = np.full((90, 40_000, 3), 90, np.uint8)
    chip = cut_chip(photo, turned(TEMPLATE, 0, 0.5, (39_900, 5)), TEMPLATE, SIZE_PX)
    assert chip[75, 75].tolist() == [90, 90, 90]


def mean_face_at(template: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mean face's mesh where its five points lie best on the template."""
    onto = similarity_transform(MEAN_FIVE[:, :2], template)
    mesh = np.zeros((468, 3), np.float32)
    mesh[RIGID, :2] = MEAN_RIGID[:, :2] @ onto[:, :2].T + onto[:, 2]
    return mesh


def test_views_are_mirrored_and_taken_from_the_mesh_where_it_fits() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    photo = cv2.GaussianBlur(photo, (0, 0), 3).astype(np.uint8)
    points, seen = turned(TEMPLATE, 3, 1.2, (40, 50)), mean_face_at(TEMPLATE)
    seen[:, :2] = turned(seen[:, :2].astype(float), -9, 1.3, (35, 45))
    aligner = Aligner(SIZE_PX, TEMPLATE, (View(), View(mirror=True), View("mesh")))
    plain, mirrored, by_mesh = aligner.cut(Pyramid.of(photo), points, seen)
    assert np.array_equal(plain, cut_chip(photo, points, TEMPLATE, SIZE_PX))
    # OpenCV rounds positions to 1/32 px, up or down.
    assert np.abs(mirrored.astype(int) - plain[:, ::-1]).max() <= 3
    # A mean face rotated, scaled and shifted like that is mapped back onto the template.
    expected = cut_chip(photo, turned(TEMPLATE, -9, 1.3, (35, 45)), TEMPLATE, SIZE_PX)
    assert np.abs(by_mesh.astype(int) - expected).max() <= 3
    without_mesh = aligner.cut(Pyramid.of(photo), points, None)
    assert np.array_equal(without_mesh[2], plain)


def test_the_chip_does_not_depend_on_what_lies_elsewhere_in_the_photo() -> None:
    photo = np.random.default_rng(1).integers(0, 255, (500, 500, 3), np.uint8)
    transform = similarity_transform(turned(TEMPLATE, 20, 1.5, (100, 100)), TEMPLATE)
    chip = warp_chip(Pyramid.of(photo), transform, SIZE_PX)
    changed = photo.copy()
    changed[:20] = changed[-20:] = 0
    assert np.array_equal(warp_chip(Pyramid.of(changed), transform, SIZE_PX), chip)
