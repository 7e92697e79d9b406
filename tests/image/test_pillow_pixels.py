"""Pillow's pictures become pixels strip by strip, whatever their shape."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from likeness.image.pillow_pixels import rgb


@pytest.mark.parametrize("reduction", [1, 2])
def test_a_wide_and_low_picture_takes_little_beyond_its_pixels(reduction: int) -> None:
    """Sixty-four rows may be all of it."""
    picture = Image.new("L", (400_000, 64 * reduction), 7)
    tracemalloc.start()
    try:
        pixels = rgb(picture, transparent=False, reduction=reduction)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pixels.shape == (64, 400_000 // reduction, 3)
    assert np.all(pixels == 7)
    assert peak < pixels.nbytes + 4 * 3 * (1 << 22)
