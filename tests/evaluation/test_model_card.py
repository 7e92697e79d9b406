"""The tables of the model card are those that its command writes from the record, which is of the pack that ships; and
what the command measures is judged on people who taught nothing.
"""

import importlib.util
import json
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.evaluation.pairs import PairSet
from likeness.packs import store
from likeness.vision.embedding import unit
from likeness.vision.scoring import Scorer

REPOSITORY = Path(__file__).resolve().parents[2]
CARD = (REPOSITORY / "docs" / "accuracy.md").read_text("utf-8")


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("accuracy", REPOSITORY / "benchmarks" / "accuracy.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record(accuracy: ModuleType) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(accuracy.RECORD.read_text("utf-8"))
    return loaded


def test_the_tables_are_those_of_the_record(accuracy: ModuleType, record: dict[str, Any]) -> None:
    generated = accuracy.tables(record)
    assert set(generated) == {"rates", "splits", "certainty", "steps", "robustness"}
    assert all(f"<!-- {name} -->" in CARD for name in generated)
    assert accuracy.with_tables(CARD, generated) == CARD


def test_a_changed_figure_would_be_seen(accuracy: ModuleType, record: dict[str, Any]) -> None:
    other = json.loads(json.dumps(record))
    other["rates"]["at_similarity"][1]["fmr"]["value"] *= 2
    assert accuracy.with_tables(CARD, accuracy.tables(other)) != CARD


@pytest.mark.parametrize(
    ("part", "place", "figure"), [("steps", 0, "milliseconds_a_pair"), ("splits", 0, "median"), ("splits", 1, "most")]
)
def test_a_changed_figure_of_a_part_would_be_seen(
    accuracy: ModuleType, record: dict[str, Any], part: str, place: int, figure: str
) -> None:
    other = json.loads(json.dumps(record))
    rows = other["steps"] if part == "steps" else other[part]["at_similarity"]
    rows[place][figure] = rows[place][figure] * 2 + 1
    assert accuracy.tables(other)[part] != accuracy.tables(record)[part]


def test_the_splits_of_the_record_keep_about_what_is_promised(record: dict[str, Any]) -> None:
    assert len(record["splits"]["each"]) == 5
    for row in record["splits"]["at_similarity"]:
        assert row["least"] <= row["median"] <= row["most"]
        assert row["median"] == pytest.approx(row["promised"], rel=0.5)


def test_the_record_is_of_the_pack_that_ships(record: dict[str, Any]) -> None:
    manifest = store.known("standard")
    measured = {row.measure: row.value for row in manifest.accuracy}
    for row in record["rates"]["at_similarity"]:
        name = f"FMR at {row['similarity']:.0f}"
        if name in measured and row["fmr"]["value"] > 1e-5:
            assert row["fmr"]["value"] == pytest.approx(measured[name], rel=0.05)
    for rate, accepted in record["rates"]["accepted"].items():
        assert accepted == pytest.approx(measured[f"genuine pairs accepted at FMR {rate}"], abs=0.005)


def test_the_card_says_what_it_must() -> None:
    for word in ("profile", "children", "siblings", "mask", "dark", "group", "human review", "must not be used", "99"):
        assert word in CARD.lower()


def five_folds(people: int = 400) -> tuple[PairSet, NDArray[np.float32]]:
    """Two photos of each person, three views a photo (N, 3, 32), around a common centre; a fifth of the people a fold.

    Each person's photos are a pair, and each person's first with the next one's second, within the fold.
    """
    generator = np.random.default_rng(3)
    persons = generator.standard_normal(32) + 0.6 * generator.standard_normal((people, 32))
    numbers = np.repeat(np.arange(people), 2)
    photos = persons[numbers] + 0.45 * generator.standard_normal((len(numbers), 32))
    views = unit(photos[:, np.newaxis] + 0.1 * generator.standard_normal((len(numbers), 3, 32)))
    a_fold = people // 5
    following = np.arange(people) // a_fold * a_fold + (np.arange(people) + 1) % a_fold
    pairs = PairSet(
        tuple(f"{place}.jpg" for place in range(len(numbers))),
        first=np.tile(2 * np.arange(people), 2),
        second=np.concatenate([2 * np.arange(people) + 1, 2 * following + 1]),
        same=np.repeat([True, False], people),
        people=numbers,
        folds=np.tile((np.arange(people) // a_fold + 1).astype(str), 2),
    )
    return pairs, views


def test_splits_judge_people_who_taught_nothing(accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, views = five_folds()
    whole = views.mean(axis=1)
    taught: list[set[int]] = []
    judged: list[set[int]] = []
    false_matches = accuracy.false_matches

    def remembering(_vectors: NDArray[np.float32], people: NDArray[np.int64]) -> Scorer:
        taught.append(set(people.tolist()))
        return Scorer()

    def judging(scorer: Scorer, curve: Any, vectors: Any, people: NDArray[np.int64]) -> dict[str, Any]:
        judged.append(set(people.tolist()))
        result: dict[str, Any] = false_matches(scorer, curve, vectors, people)
        return result

    monkeypatch.setattr(accuracy, "false_matches", judging)
    scores = accuracy.cross_fitted_scores(whole, pairs.people, learn=accuracy.learn_nothing)
    measured = accuracy.splits(pairs, whole, scores, learn=remembering)
    # A split learns 15 times for its curve and once as the pack would; at the end everybody teaches and is judged.
    assert len(taught) == 5 * 16 + 1
    assert len(judged) == 5 + 1
    for split in range(5):
        assert len(judged[split]) == 160
        assert not any(judged[split] & people for people in taught[split * 16 : split * 16 + 16])
    assert taught[-1] == judged[-1] == set(range(400))
    assert [row["learned_from"] for row in measured["each"]] == [list(t) for t in ("123", "234", "345", "451", "512")]
    assert all(row["impostor_pairs"] == 320 * 319 / 2 - 160 for row in measured["each"])
    at_80, at_90 = measured["at_similarity"]
    assert at_80["promised"] == pytest.approx(1e-3)
    assert at_90["promised"] == pytest.approx(1e-4)
    # Nothing was learned, so the curve is of these very pairs: it keeps its promise where it was measured.
    assert at_80["people_learned_from"] == pytest.approx(1e-3, rel=0.02)
    assert 2e-4 < at_80["least"] <= at_80["median"] <= at_80["most"] < 4e-3
    assert accuracy.splits_table(measured).count("\n") == 3


def test_folds_that_share_a_person_are_refused(accuracy: ModuleType) -> None:
    pairs, _ = five_folds()
    assert pairs.folds is not None
    assert np.array_equal(accuracy.photo_folds(pairs), pairs.folds[:400].repeat(2))
    pairs.folds[3] = "5"
    with pytest.raises(ValueError, match="a person is in two folds"):
        accuracy.photo_folds(pairs)


def unsure(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """`views` (N, V, D) of unit length with the lengths of a network that is less sure of the faces that it blurs."""
    generator = np.random.default_rng(4)
    doubts = generator.uniform(0, 1, (len(views), 1, 1)).astype(np.float32)
    noise = generator.standard_normal((len(views), 1, views.shape[2])).astype(np.float32)
    return (70 - 50 * doubts) * unit(views + 0.1 * doubts * noise)


def learned_once(vectors: NDArray[np.float32], people: NDArray[np.int64], *, learn: Any) -> NDArray[np.float64]:
    """Quicker than cross-fitting, which has its own tests."""
    scorer = learn(vectors, people)
    faces = scorer.profile(vectors)
    scores: NDArray[np.float64] = scorer.compare(faces, faces)
    return scores


def test_every_step_is_cross_fitted(accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, views = five_folds()
    sure = unsure(views)
    steps = accuracy.steps(sure[:, :2], "certainty")
    assert [step.views for step in steps] == [2] * 4
    assert [step.vectors.shape[1] for step in steps] == [32] * 4
    assert [step.learn for step in steps[:2]] == [accuracy.learn_nothing, accuracy.learn_metric_alone]
    assert [(step.learn.func, step.learn.keywords["lengths"]) for step in steps[2:]] == [
        (accuracy.learn_without_credit, "certainty"),
        (accuracy.learn_shipped, "certainty"),
    ]
    monkeypatch.setattr(accuracy, "cross_fitted_scores", learned_once)
    rows = [accuracy.judged(pairs, step) for step in steps]
    assert len({row["accepted"]["1e-03"] for row in rows}) == len(rows)  # each part changes the order of pairs
    assert all(0 < row["accepted"]["1e-03"] <= row["accepted"]["1e-02"] < 1 for row in rows)


def test_times_are_taken_of_every_row(accuracy: ModuleType) -> None:
    class Network:
        """As an embedder of a pack is asked for its time."""

        aligner = SimpleNamespace(size_px=8)
        looks = 2

        def __init__(self) -> None:
            self.runs: list[int] = []

        def views(self, chips: NDArray[np.uint8]) -> None:
            self.runs.append(len(chips))

    engine = SimpleNamespace(embedder=Network(), lengths="certainty")
    timed = accuracy.with_times({"steps": [{"name": str(place)} for place in range(4)], "other": 1}, engine)
    assert timed["other"] == 1
    assert [row["name"] for row in timed["steps"]] == list("0123")
    assert all(row["milliseconds_a_pair"] > 0 for row in timed["steps"])
    assert timed["milliseconds_a_view"] >= 0
    assert set(engine.embedder.runs) == {4}


def test_a_face_takes_the_time_of_its_views(accuracy: ModuleType, record: dict[str, Any]) -> None:
    table = accuracy.steps_table({**record, "milliseconds_a_view": 5.0})
    assert table.count("| 5.0 ms |") == len(record["steps"])


def test_the_metric_alone_turns_long_vectors_around_their_centre(accuracy: ModuleType) -> None:
    generator = np.random.default_rng(5)
    vectors = (2 + generator.standard_normal((600, 192))).astype(np.float32)
    people = np.arange(600) // 2
    alone, learned = accuracy.learn_metric_alone(vectors, people), accuracy.learn_metric(vectors, people)
    turned = learned.turned(vectors[:5])
    assert learned.centre is not None
    assert alone.score(vectors[0], vectors[1:5]) == pytest.approx(turned[1:] @ turned[0], abs=1e-3)


def test_errors_by_certainty_add_up_to_those_of_all_pairs(
    accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, views = five_folds()
    whole = unsure(views).mean(axis=1)
    scores = learned_once(whole, pairs.people, learn=partial(accuracy.learn_shipped, lengths="certainty"))
    monkeypatch.setattr(accuracy, "cross_fitted_scores", learned_once)
    rows = accuracy.certainty(pairs, whole, scores, "certainty")
    shares = np.diff([share for _, share in accuracy._CERTAINTY] + [1.0])
    for version in ("with", "without"):
        whole_rate = sum(share * row[version]["fmr_at_80"] for share, row in zip(shares, rows, strict=True))
        assert whole_rate == pytest.approx(1e-3, rel=0.1)
    # Credit for doubt lets more strangers through among the faces that the network is least sure of.
    surest, least_sure = rows[0], rows[-1]
    assert surest["with"]["fmr_at_80"] < surest["without"]["fmr_at_80"]
    assert least_sure["with"]["fmr_at_80"] > least_sure["without"]["fmr_at_80"]
    assert least_sure["with"]["missed_at_90"] < least_sure["without"]["missed_at_90"]
