"""Half the size: means of four, whatever is odd left out; any size from the halving next above it."""

import numpy as np
import pytest

from likeness.vision.pyramid import Pyramid


def test_each_pixel_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    means = pixels[:6, :8].reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    found = Pyramid(pixels).halved(1)
    assert found.shape == (3, 4, 3)
    assert np.abs(found - means).max() <= 0.5


def test_a_pyramid_keeps_each_size_that_was_asked_for() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (41, 30, 3), dtype=np.uint8)
    levels = Pyramid(pixels)
    assert levels.shape == (41, 30, 3)
    assert levels.halved(0) is pixels
    assert np.array_equal(levels.halved(2), Pyramid(levels.halved(1)).halved(1))
    assert levels.halved(2) is levels.halved(2)


@pytest.mark.parametrize("size", [(300, 200), (140, 96), (64, 64), (37, 21), (600, 400)])
def test_shrunk_detail_is_averaged_and_not_sampled(size: tuple[int, int]) -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), 150)
    levels = Pyramid(np.repeat(np.repeat(stripes[None, :, None], 200, axis=0), 3, axis=2))
    shrunk = levels.resized(size)
    assert shrunk.shape == (size[1], size[0], 3)
    if size[0] <= 140:
        assert np.abs(shrunk.astype(float) - 127.5).max() <= 70
    if size == (300, 200):
        assert shrunk is levels.halved(0)
