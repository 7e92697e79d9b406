"""Halvings: means of four pixels without odd edges; at most two decodings; any size from the next larger halving."""

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.vision.pyramid import Pyramid

STRIPES = np.repeat(np.repeat(np.tile(np.array([0, 255], np.uint8), 150)[None, :, None], 200, axis=0), 3, axis=2)


def test_each_pixel_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    means = pixels[:6, :8].reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    found, divisor = Pyramid.of(pixels).at_scale(0.5)
    assert (found.shape, divisor) == ((3, 4, 3), 2)
    assert np.abs(found - means).max() <= 0.5


def test_a_halving_is_made_once() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (41, 30, 3), dtype=np.uint8)
    photo = Pyramid.of(pixels)
    assert photo.size == (30, 41)
    assert photo.at_scale(1)[0] is pixels
    assert np.array_equal(photo.at_scale(0.25)[0], Pyramid.of(photo.at_scale(0.5)[0]).at_scale(0.5)[0])
    assert photo.at_scale(0.25)[0] is photo.at_scale(0.2)[0]


@pytest.mark.parametrize(
    ("scale", "divisor"), [(2, 1), (1, 1), (0.51, 1), (0.5, 2), (0.3, 2), (0.25, 4), (1e-12, 16), (0, 16)]
)
def test_no_smaller_than_asked_and_never_without_pixels(scale: float, divisor: int) -> None:
    pixels, by = Pyramid.of(np.zeros((20, 300, 3), np.uint8)).at_scale(scale)
    assert by == divisor
    assert pixels.size


@pytest.mark.parametrize(
    ("size", "scales", "decoded"),
    [
        ((4000, 3000), [0.1, 0.2], [2]),  # 1000 px are enough for both
        ((4000, 3000), [0.1, 0.5, 1.0], [2, 0]),
        ((9000, 6000), [0.05, 0.4, 1.0], [3, 1]),  # no third decoding: the existing ones must suffice
        ((640, 480), [0.1, 1.0], [0]),
        ((20_000, 5000), [0.01], [3]),  # no decoder reduces below an eighth
    ],
)
def test_a_photo_is_decoded_as_coarsely_as_it_may_be_and_twice_at_most(
    size: tuple[int, int], scales: list[float], decoded: list[int]
) -> None:
    seen: list[int] = []

    def decode(halvings: int) -> NDArray[np.uint8]:
        seen.append(halvings)
        return np.zeros((size[1] >> halvings, size[0] >> halvings, 3), np.uint8)

    photo = Pyramid(size, decode)
    for scale in scales:
        pixels, divisor = photo.at_scale(scale)
        assert pixels.shape[1] == size[0] // divisor
    assert seen == decoded


def test_nothing_finer_is_decoded_than_what_was_asked_for_in_advance() -> None:
    seen: list[int] = []

    def decode(halvings: int) -> NDArray[np.uint8]:
        seen.append(halvings)
        return np.zeros((1080 >> halvings, 1920 >> halvings, 3), np.uint8)

    photo = Pyramid((1920, 1080), decode)
    photo.decode_for(0.4)
    assert photo.at_scale(1)[1] == 2
    assert seen == [1]


@pytest.mark.parametrize("size", [(300, 200), (140, 96), (64, 64), (37, 21), (600, 400)])
def test_shrunk_detail_is_averaged_and_not_sampled(size: tuple[int, int]) -> None:
    photo = Pyramid.of(STRIPES)
    shrunk = photo.resized(size)
    assert shrunk.shape == (size[1], size[0], 3)
    if size[0] <= 140:
        assert np.abs(shrunk.astype(float) - 127.5).max() <= 70
    if size == (300, 200):
        assert shrunk is photo.at_scale(1)[0]
