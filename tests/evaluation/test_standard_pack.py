"""What ships: strangers who are nobody, a curve that keeps its promise, similarities that small changes do not move."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.comparer import Comparer
from likeness.evaluation.embeddings import embed_photos
from likeness.evaluation.learned_scoring import CREDITS
from likeness.evaluation.metric import Metric
from likeness.packs import store
from likeness.vision.embedding import unit


def shipped(array: str) -> NDArray[Any]:
    """What the pack has of an array of its scoring, as it lies in the catalogue."""
    values: NDArray[Any] = np.load(path_of(array), allow_pickle=False)
    return values


def path_of(array: str) -> Path:
    return store.CATALOGUE / "standard" / store.known("standard").scoring.files[array]


@pytest.fixture(scope="module")
def some_faces(comparer: Comparer, data_dir: Path) -> NDArray[np.float32]:
    """The vectors of 250 photos of as many people of lfw-dev."""
    photos = sorted((data_dir / "lfw-dev" / "images").glob("*/*_0001.jpg"))[::6][:250]
    return embed_photos(comparer, photos).vectors


def jpeg(photo: Path, quality: int, scale: float = 1.0) -> bytes:
    pixels = cv2.imread(str(photo), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert pixels is not None
    if scale != 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def similarity(comparer: Comparer, source: Path | bytes, target: Path | bytes) -> float:
    answer = comparer.compare(source, target, similarity_threshold=0)
    return max(match.similarity for match in answer.matches)


def test_the_strangers_are_small_and_whole() -> None:
    path, strangers = path_of("strangers"), shipped("strangers")
    assert strangers.dtype == np.int8
    assert strangers.shape == (1600, 160)
    assert path.stat().st_size < 300_000
    assert store.sha256_of(path) == store.known("standard").files[path.name].sha256
    assert len(np.unique(strangers, axis=0)) == len(strangers)


def test_the_metric_is_small_and_keeps_as_many_directions_as_it_says() -> None:
    for array, size in (("metric", 80_000), ("centre", 1_000)):
        path = path_of(array)
        assert path.stat().st_size < size
        assert store.sha256_of(path) == store.known("standard").files[path.name].sha256
    metric, centre = shipped("metric").astype(np.float64), shipped("centre")
    assert metric.shape == (192, 160)
    assert np.linalg.matrix_rank(metric) == 160
    assert centre.shape == (192,)
    # A mean of directions is none itself: it says how much all faces have in common.
    assert 0 < np.linalg.norm(centre.astype(np.float64)) < 1


def test_doubt_is_credited_by_what_the_lengths_of_the_vectors_say() -> None:
    manifest = store.known("standard")
    lengths = manifest.embedder_input().lengths
    assert lengths == "certainty"
    assert manifest.scoring.parameters["credit"] == CREDITS[lengths]


def test_the_curve_covers_the_promise_and_marks_its_tail() -> None:
    manifest = store.known("standard")
    assert manifest.calibration is not None
    assert manifest.calibration.log10_rates[-1] <= -6
    assert -6 < manifest.calibration.measured_log10_rate < -4
    assert {row.measure for row in manifest.accuracy} >= {"FMR at 80", "FMR at 90", "accuracy over folds"}


@pytest.mark.data
@pytest.mark.engine
def test_no_stranger_is_near_a_real_face(some_faces: NDArray[np.float32]) -> None:
    turned = Metric(shipped("metric"), shipped("centre")).turned(some_faces)
    nearest = (unit(shipped("strangers")) @ turned.T).max()
    assert nearest < store.known("standard").scoring.parameters["cosine_limit"] + 1e-4


@pytest.mark.data
@pytest.mark.engine
def test_strangers_among_real_faces_get_the_promised_rate(comparer: Comparer, some_faces: NDArray[np.float32]) -> None:
    first, second = np.triu_indices(len(some_faces), k=1)
    similarities = comparer.similarities(some_faces, first, second)
    # 31,125 pairs: one in a hundred is 311 of them, give or take what 250 people leave to chance.
    one_in_a_hundred = np.interp(2.0, *_curve(comparer))
    assert (similarities >= one_in_a_hundred).mean() == pytest.approx(1e-2, rel=0.35)
    assert (similarities >= 80).mean() < 2.5e-3


@pytest.mark.data
@pytest.mark.engine
def test_another_encoding_moves_the_similarity_little(comparer: Comparer, data_dir: Path) -> None:
    with (data_dir / "lfw-dev" / "pairs.csv").open(newline="") as file:
        genuine = [row for row in csv.DictReader(file) if row["same"] == "1"][::75]
    moved: dict[str, list[float]] = {"90": [], "60": [], "half": []}
    for row in genuine:
        source, target = (data_dir / "lfw-dev" / row[column] for column in ("image_a", "image_b"))
        plain = similarity(comparer, source, target)
        for name, other in (("90", jpeg(target, 90)), ("60", jpeg(target, 60)), ("half", jpeg(target, 90, 0.5))):
            moved[name].append(abs(similarity(comparer, source, other) - plain))
    assert len(genuine) == 20
    assert all(np.median(changes) < 3 for changes in moved.values()), moved


@pytest.mark.engine
def test_source_and_target_may_change_places(comparer: Comparer, portraits: dict[str, Path]) -> None:
    for a, b in (("obama.jpg", "obama2.jpg"), ("obama.jpg", "biden.jpg")):
        there, back = (similarity(comparer, portraits[x], portraits[y]) for x, y in ((a, b), (b, a)))
        assert there == pytest.approx(back, abs=0.01)


@pytest.mark.engine
def test_only_the_same_pixels_reach_a_hundred(comparer: Comparer, portraits: dict[str, Path]) -> None:
    photo = portraits["obama.jpg"]
    assert similarity(comparer, photo, photo) == 100
    again = similarity(comparer, photo, jpeg(photo, 60))
    assert 99 < again < 100


@pytest.mark.engine
def test_one_person_and_two(comparer: Comparer, portraits: dict[str, Path]) -> None:
    assert similarity(comparer, portraits["obama.jpg"], portraits["obama2.jpg"]) > 95
    assert similarity(comparer, portraits["obama.jpg"], portraits["biden.jpg"]) < 50


def _curve(comparer: Comparer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minus log10 of the false match rate, and the Similarity that stands for it."""
    levels = np.linspace(1, 99, 500)
    return -np.log10(comparer.calibration.false_match_rate(levels)), levels
