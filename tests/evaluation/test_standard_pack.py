"""The standard pack: cohort, curve, rates, and the stability of similarities under small changes."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.comparer import Comparer
from likeness.evaluation.cohort import COUNT
from likeness.evaluation.embeddings import embed_photos
from likeness.packs import store
from likeness.vision.products import unit


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


def test_the_cohort_is_small_and_whole() -> None:
    path, cohort = path_of("cohort"), shipped("cohort")
    assert cohort.dtype == np.int8
    assert cohort.shape == (COUNT, 192)
    assert path.stat().st_size < 600_000
    assert store.sha256_of(path) == store.known("standard").files[path.name].sha256
    assert len(np.unique(cohort, axis=0)) == len(cohort)


def test_the_curve_covers_the_promise_and_marks_its_tail() -> None:
    manifest = store.known("standard")
    assert manifest.calibration is not None
    assert manifest.calibration.log10_rates[-1] <= -6
    assert -6 < manifest.calibration.measured_log10_rate <= -4
    assert {row.measure for row in manifest.accuracy} >= {"FMR at 80", "FMR at 90", "accuracy over folds"}


def test_no_rate_is_reported_from_fewer_than_thirty_pairs() -> None:
    manifest = store.known("standard")
    assert manifest.calibration is not None
    levels = {
        float(row.measure.split()[2].rstrip(",")) for row in manifest.accuracy if row.measure.startswith("FMR at")
    }
    assert levels == {80.0, 90.0}
    assert all(manifest.calibration.claim(level).kind == "measured" for level in levels)
    assert manifest.calibration.claim(99).kind == "extrapolated"
    assert manifest.calibration.claim(100).kind == "rarer"
    rates = [
        row for row in manifest.accuracy if row.measure.startswith(("FMR", "FNMR")) and "max over" not in row.measure
    ]
    for row in rates:
        assert row.errors is not None
        assert row.pairs
        assert row.value_text().startswith("rarer than") == (row.errors < 30)
        if row.data != "mean of cells":
            assert row.value == pytest.approx(row.errors / row.pairs, rel=1e-3)
    assert any(row.value_text().startswith("rarer than") for row in rates)


@pytest.mark.parametrize(
    ("level", "lowest", "highest", "over_mean"), [(80.0, 0.5e-3, 2e-3, 1.5), (90.0, 0.0, 4e-4, None)]
)
def test_every_cell_keeps_near_the_promise(
    level: float, lowest: float, highest: float, over_mean: float | None
) -> None:
    rows = [row for row in store.known("standard").accuracy if row.measure == f"FMR at {level:.0f}"]
    rates = [row.value for row in rows if row.data != "mean of cells"]
    assert len(rates) == 10
    assert all(lowest <= rate <= highest for rate in rates)
    if over_mean:
        assert max(rates) / min(rates) <= 3
        assert max(rates) / np.exp(np.log(rates).mean()) <= over_mean


@pytest.mark.data
@pytest.mark.engine
def test_none_of_the_cohort_is_near_a_real_face(some_faces: NDArray[np.float32]) -> None:
    nearest = (unit(shipped("cohort").astype(np.float32)) @ unit(some_faces).T).max()
    assert nearest < store.known("standard").scoring.parameters["cosine_limit"] + 1e-4


@pytest.mark.data
@pytest.mark.engine
def test_rates_hold_for_people_outside_the_cohort(comparer: Comparer, some_faces: NDArray[np.float32]) -> None:
    """The cohort is of people-dev; these are pairs of different people of lfw-dev, of any origin and sex.

    Of 31,125 pairs 31 keep the promise to the letter, and with 250 other people it may be half as many or twice; the
    figure of all 7 million pairs is held to it in test_model_card.py.
    """
    first, second = np.triu_indices(len(some_faces), k=1)
    similarities = comparer.similarities(some_faces, first, second)
    assert (similarities >= 80).mean() < 2e-3


@pytest.mark.data
@pytest.mark.engine
def test_another_encoding_changes_the_similarity_little(comparer: Comparer, data_dir: Path) -> None:
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
def test_source_and_target_are_interchangeable(comparer: Comparer, portraits: dict[str, Path]) -> None:
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
