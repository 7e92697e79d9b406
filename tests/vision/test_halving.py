"""Half the size: means of four, whatever is odd left out."""

import numpy as np

from likeness.vision.halving import halved


def test_each_pixel_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    means = pixels[:6, :8].reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    found = halved(pixels)
    assert found.shape == (3, 4, 3)
    assert np.abs(found - means).max() <= 0.5
