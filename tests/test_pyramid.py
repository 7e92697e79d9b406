"""Half the size: means of four, whatever is odd left out."""

import numpy as np

from likeness.pyramid import Pyramid, halved, pyramid


def test_each_pixel_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    means = pixels[:6, :8].reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    found = halved(pixels)
    assert found.shape == (3, 4, 3)
    assert np.abs(found - means).max() <= 0.5


def test_a_pyramid_keeps_each_size_that_was_asked_for() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (41, 30, 3), dtype=np.uint8)
    levels = Pyramid(pixels)
    assert levels.pixels is pixels
    assert levels.shape == (41, 30, 3)
    assert levels.halved(0) is pixels
    assert np.array_equal(levels.halved(2), halved(halved(pixels)))
    assert levels.halved(2) is levels.halved(2)


def test_pixels_get_a_pyramid_and_a_pyramid_stays_itself() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    levels = pyramid(pixels)
    assert levels.pixels is pixels
    assert pyramid(levels) is levels
