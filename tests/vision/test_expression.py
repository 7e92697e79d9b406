"""Emotions: the network's input, confidences from its output, their order, and their sum of 100."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.image import ImageLimits, open_image
from likeness.pipeline import decoded, search
from likeness.vision.expression import LABELS, emotions, happiness, read_expression
from likeness.vision.mesh_model import MEAN_FIVE
from likeness.vision.network import Pictures
from likeness.vision.pyramid import Pyramid

PHOTO = np.full((240, 320, 3), (200, 100, 50), dtype=np.uint8)
POINTS = MEAN_FIVE[:, :2] * 50 + (160, 90)


class Recorder:
    """A network that returns the same probabilities for every crop, and records its input."""

    takes_bytes = False

    def __init__(self, probabilities: list[float]) -> None:
        self.fed: list[NDArray[np.float32]] = []
        self._probabilities = np.array([probabilities], dtype=np.float32)

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        self.fed.append(inputs[0].astype(np.float32))
        return [np.repeat(self._probabilities, len(inputs[0]), axis=0)]


FLAT = [1 / 7] * 7


def test_the_network_is_fed_a_grey_face_and_its_mirror_image() -> None:
    network = Recorder(FLAT)
    photo = PHOTO.copy()
    photo[:, :160] = 0
    read_expression(network, Pyramid.of(photo), POINTS)
    (fed,) = network.fed
    assert fed.shape == (2, 1, 64, 64)
    assert fed.dtype == np.float32
    assert np.array_equal(fed[0, 0, :, ::-1], fed[1, 0])
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert fed[0, 0, 30, 60] == pytest.approx(luma / 127.5 - 1, abs=1e-5)
    assert fed[0, 0, 30, 4] == pytest.approx(-1.0)


def test_the_crop_follows_the_face_s_turn() -> None:
    """A mark between the eyes is at the same place of the crop for all rotations of the photo."""
    places = []
    for angle_deg in (0.0, 35.0, -90.0, 180.0):
        turn = cv2.getRotationMatrix2D((160, 120), -angle_deg, 1.0)
        points = POINTS @ turn[:, :2].T + turn[:, 2]
        photo = np.zeros((240, 320, 3), dtype=np.uint8)
        mark = points[:2].mean(axis=0)
        cv2.circle(photo, (round(mark[0]), round(mark[1])), 4, (255, 255, 255), -1)
        network = Recorder(FLAT)
        read_expression(network, Pyramid.of(photo), points)
        bright = network.fed[0][0, 0] + 1
        places.append(np.array(np.nonzero(bright > 0.5)).mean(axis=1))
    assert np.ptp(places, axis=0) == pytest.approx([0, 0], abs=1.5)


@given(st.lists(st.floats(1e-6, 1), min_size=7, max_size=7))
def test_emotions_are_sorted_complete_and_sum_to_100(weights: list[float]) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    found = emotions(np.log(probabilities))
    confidences = [emotion.confidence for emotion in found]
    assert {emotion.type for emotion in found} == set(LABELS)
    assert len(found) == 7
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(100, abs=1e-4)
    assert all(0 <= confidence <= 100 for confidence in confidences)


@given(st.lists(st.floats(1e-6, 1), min_size=7, max_size=7))
def test_happiness_is_the_network_s_own_log_odds(weights: list[float]) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    share = probabilities[LABELS.index("HAPPY")]
    odds = share / (1 - share)
    assert happiness(np.log(probabilities)) == pytest.approx(np.log(odds), abs=1e-5)


@pytest.mark.parametrize("label", LABELS)
def test_a_network_that_is_sure_is_believed(label: str) -> None:
    probabilities = np.full(7, 1e-4)
    probabilities[LABELS.index(label)] = 1
    assert emotions(np.log(probabilities))[0].type == label


def test_a_certain_network_gives_finite_confidences() -> None:
    found = read_expression(Recorder([1.0, 0, 0, 0, 0, 0, 0]), Pyramid.of(PHOTO), POINTS)
    assert all(np.isfinite(emotion.confidence) for emotion in emotions(found))
    assert np.isfinite(happiness(found))


@pytest.mark.engine
@pytest.mark.parametrize(
    ("name", "happy"),
    [("obama.jpg", True), ("obama_partial_face.jpg", True), ("obama2.jpg", False), ("biden.jpg", False)],
)
def test_laughing_faces_are_happy_and_sober_ones_are_not(
    standard_pack: None, portraits: dict[str, Path], name: str, happy: bool
) -> None:
    engine = Engine("standard")
    pixels = np.ascontiguousarray(cv2.imread(str(portraits[name]))[:, :, ::-1])
    faces, _ = search(engine, decoded(open_image(pixels, limits=ImageLimits(min_side_px=1))))
    assert engine.expressions is not None
    found = read_expression(engine.expressions, Pyramid.of(pixels), faces.points[0])
    assert (emotions(found)[0].type == "HAPPY") == happy


@pytest.mark.engine
@pytest.mark.data
def test_emotions_on_expressions_dev_are_far_better_than_chance(standard_pack: None, data_dir: Path) -> None:
    """Shipped tables were learned on this set, so this guards against a wrong crop or label order; it is no accuracy
    claim.
    """
    engine = Engine("standard")
    assert engine.expressions is not None
    named = dict(zip(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), LABELS, strict=True))
    hits: dict[str, list[bool]] = {}
    with (data_dir / "expressions-dev" / "labels.csv").open() as table:
        for row in csv.DictReader(table):
            pixels = np.ascontiguousarray(cv2.imread(str(data_dir / "expressions-dev" / row["image"]))[:, :, ::-1])
            faces, _ = search(engine, decoded(open_image(pixels, limits=ImageLimits(min_side_px=1))))
            if row["expression"] in named and len(faces):
                found = read_expression(engine.expressions, Pyramid.of(pixels), faces.points[0])
                hits.setdefault(row["expression"], []).append(emotions(found)[0].type == named[row["expression"]])
    assert np.mean([np.mean(each) for each in hits.values()]) >= 0.5
