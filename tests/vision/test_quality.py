"""Brightness and sharpness: never higher for a photo spoilt a step further; the filters' bars, each tighter than the
last.
"""

from dataclasses import fields, replace
from functools import cache
from itertools import pairwise

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.faces import Pose, Quality, QualityFilter
from likeness.vision.pyramid import Pyramid
from likeness.vision.quality import DEFAULT_BARS, QualityBar, measure_quality

#: The boxes of the faces in two public photos, as the service would draw them.
BOXES = {"astronaut": (178.0, 55.0, 270.0, 183.0), "hopper": (166.0, 85.0, 359.0, 352.0)}


@cache
def photo(name: str) -> NDArray[np.uint8]:
    if name == "astronaut":
        return np.asarray(skimage.data.astronaut(), dtype=np.uint8)
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


def quality(name: str, pixels: NDArray[np.uint8] | None = None, *, scale: float = 1.0) -> Quality:
    return measure_quality(Pyramid.of(photo(name) if pixels is None else pixels), np.array(BOXES[name]) * scale)


def blurred(pixels: NDArray[np.uint8], sigma_px: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), dtype=np.uint8)


def resized(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how), dtype=np.uint8)


@pytest.mark.parametrize("name", BOXES)
def test_a_sharp_portrait_in_daylight_has_a_quality_near_the_service_s_sample(name: str) -> None:
    found = quality(name)
    assert found.sharpness > 90
    assert 50 <= found.brightness <= 80


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(BOXES)),
    sigmas_px=st.lists(st.floats(0.3, 15.0), min_size=2, max_size=5),
    scale=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_a_wider_blur_is_never_sharper(name: str, sigmas_px: list[float], scale: float) -> None:
    pixels = photo(name) if scale == 1.0 else resized(photo(name), scale)
    steps = [pixels, *(blurred(pixels, sigma_px) for sigma_px in sorted(sigmas_px))]
    sharpness = [quality(name, step, scale=scale).sharpness for step in steps]
    assert all(after <= before for before, after in pairwise(sharpness)), sharpness


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(BOXES)), sigma_px=st.floats(0.4, 3.0), times=st.integers(2, 6))
def test_blurring_again_is_never_sharper(name: str, sigma_px: float, times: int) -> None:
    step, sharpness = photo(name), [quality(name).sharpness]
    for _ in range(times):
        step = blurred(step, sigma_px)
        sharpness.append(quality(name, step).sharpness)
    assert all(after <= before for before, after in pairwise(sharpness)), sharpness


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(BOXES)), factors=st.lists(st.floats(0.4, 0.9), min_size=1, max_size=4))
def test_a_darker_photo_is_never_brighter_nor_sharper(name: str, factors: list[float]) -> None:
    """Darker by at least a tenth: for less, rounding may compensate."""
    gains = np.cumprod([1.0, *factors])
    steps = [photo(name), *(np.round(photo(name) * gain).astype(np.uint8) for gain in gains[1:])]
    found = [quality(name, step) for step in steps]
    assert all(after.brightness < before.brightness for before, after in pairwise(found)), found
    assert all(after.sharpness <= before.sharpness for before, after in pairwise(found)), found


@pytest.mark.parametrize("name", BOXES)
def test_sharpness_hardly_depends_on_exposure(name: str) -> None:
    """Half the light is one stop: the same face is equally in focus."""
    darker = np.round(photo(name) * 0.5).astype(np.uint8)
    assert quality(name, darker).sharpness == pytest.approx(quality(name).sharpness, abs=3)


def test_a_tenth_of_the_light_is_dark() -> None:
    assert quality("astronaut", np.asarray(photo("astronaut") * 0.1, dtype=np.uint8)).brightness < 20


def test_a_small_blurry_face_has_a_sharpness_near_the_service_s_sample() -> None:
    """Section 5.6: a blurry face of 51 x 70 px has sharpness 3.3."""
    half = 25.5 / (BOXES["hopper"][2] - BOXES["hopper"][0])
    pixels = resized(resized(photo("hopper"), half), 2.0)
    assert quality("hopper", pixels, scale=2 * half).sharpness == pytest.approx(3, abs=3)


def test_enlarging_adds_no_sharpness() -> None:
    small = resized(photo("hopper"), 0.3)
    before = quality("hopper", small, scale=0.3).sharpness
    assert quality("hopper", resized(small, 3.0), scale=0.9).sharpness <= before


def test_shrinking_a_large_photo_leaves_sharpness_as_it_is() -> None:
    """A sharp face is sharp at every size that has all of its detail."""
    large = resized(photo("hopper"), 0.9)
    assert quality("hopper", large, scale=0.9).sharpness == pytest.approx(quality("hopper").sharpness, abs=2)


def test_noise_on_a_blurred_face_does_not_make_it_a_sharp_one() -> None:
    soft = blurred(photo("hopper"), 4.0)
    noise = np.random.default_rng(5).normal(0, 4, soft.shape)
    noisy = np.clip(soft + noise, 0, 255).astype(np.uint8)
    assert quality("hopper", noisy).sharpness < 50 < quality("hopper").sharpness


def test_only_the_face_counts() -> None:
    pixels = photo("astronaut").copy()
    pixels[:40], pixels[200:] = 255, 0
    assert quality("astronaut", pixels) == quality("astronaut")


@given(
    box=st.tuples(*[st.floats(-500, 800)] * 4).map(lambda each: (*sorted(each[:2]), *sorted(each[2:]))),
    value=st.integers(0, 255),
)
@settings(max_examples=100, deadline=None)
def test_any_box_on_any_flat_photo_has_a_quality(box: tuple[float, ...], value: int) -> None:
    x1, x2, y1, y2 = box
    found = measure_quality(
        Pyramid.of(np.full((90, 120, 3), value, dtype=np.uint8)), np.array([x1, y1, x2 + 1, y2 + 1])
    )
    assert found.sharpness == 0
    assert 0 <= found.brightness <= 100


def test_a_face_outside_the_photo_has_none() -> None:
    outside = np.array([-300.0, -300, -200, -150])
    assert measure_quality(Pyramid.of(photo("astronaut")), outside) == Quality(brightness=0, sharpness=0)


ORDER: tuple[QualityFilter, ...] = ("AUTO", "LOW", "MEDIUM", "HIGH")


def test_each_bar_is_strictly_tighter_than_the_one_before_in_every_limit() -> None:
    assert tuple(DEFAULT_BARS) == ORDER
    for loose, tight in pairwise(ORDER):
        for limit in fields(QualityBar):
            lower, higher = (getattr(DEFAULT_BARS[name], limit.name) for name in (loose, tight))
            assert (higher < lower) if limit.name in ("yaw_deg", "pitch_deg") else (higher > lower)


BAR = QualityBar(face_width_px=40, sharpness=10, brightness=20, yaw_deg=30, pitch_deg=25, confidence=90)
GOOD = (Quality(brightness=20, sharpness=10), Pose(roll=170, yaw=-30, pitch=25))


def test_limits_are_inclusive_and_roll_is_free() -> None:
    assert BAR.passes(*GOOD, face_width_px=40, confidence=90)


@pytest.mark.parametrize(
    ("quality_", "pose", "face_width_px", "confidence"),
    [
        (replace(GOOD[0], sharpness=9.9), GOOD[1], 40, 90),
        (replace(GOOD[0], brightness=19.9), GOOD[1], 40, 90),
        (GOOD[0], replace(GOOD[1], yaw=30.1), 40, 90),
        (GOOD[0], replace(GOOD[1], yaw=-30.1), 40, 90),
        (GOOD[0], replace(GOOD[1], pitch=-25.1), 40, 90),
        (*GOOD, 39.9, 90),
        (*GOOD, 40, 89.9),
    ],
)
def test_each_limit_alone_keeps_a_face_out(
    quality_: Quality, pose: Pose, face_width_px: float, confidence: float
) -> None:
    assert not BAR.passes(quality_, pose, face_width_px=face_width_px, confidence=confidence)


def test_a_face_far_larger_than_the_photo_is_judged_by_what_is_seen_of_it() -> None:
    seen = measure_quality(
        Pyramid.of(np.full((80, 400, 3), 128, np.uint8)), np.array([-40_000.0, -40_000, 40_000, 40_000])
    )
    assert seen.brightness > 0
