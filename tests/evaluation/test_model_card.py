"""The model card: its tables are those of the pack and of the record, and its claims are measured."""

import json
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from likeness.evaluation.labelled import LabelledFaces
from likeness.packs import store
from likeness.vision.products import unit

REPOSITORY = Path(__file__).resolve().parents[2]
CARD = (REPOSITORY / "docs" / "accuracy.md").read_text("utf-8")
PARTS = {"cells", "promise", "apart", "lfw", "steps", "thresholds", "frontier", "robustness"}


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    return import_module("benchmarks.accuracy")


@pytest.fixture(scope="module")
def record(accuracy: ModuleType) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(accuracy.RECORD.read_text("utf-8"))
    return loaded


def test_the_tables_are_those_of_the_pack_and_of_the_record(accuracy: ModuleType, record: dict[str, Any]) -> None:
    generated = accuracy.tables(record, store.known("standard"))
    assert set(generated) == PARTS
    assert all(f"<!-- {name} -->" in CARD for name in generated)
    assert accuracy.with_tables(CARD, generated) == CARD


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("apart", lambda record: record["apart"][0]["at"]["80"].update(errors=7)),
        ("lfw", lambda record: record["lfw"]["at_similarity"][1]["fmr"].update(value=0.5)),
        ("steps", lambda record: record["steps"][3]["at"]["1e-03"].update(accepted=0.5)),
        ("frontier", lambda record: record["frontier"][0]["at"]["1e-03"].update(accepted=0.5)),
        ("thresholds", lambda record: record["thresholds"][0]["at"]["1e-03"].update(accepted=0.5)),
        ("robustness", lambda record: record["robustness"]["JPEG quality 60"].update(median=9.0)),
    ],
)
def test_a_changed_figure_would_be_seen(accuracy: ModuleType, record: dict[str, Any], part: str, change: Any) -> None:
    other = json.loads(json.dumps(record))
    change(other)
    pack = store.known("standard")
    assert accuracy.tables(other, pack)[part] != accuracy.tables(record, pack)[part]


def test_the_table_of_cells_comes_first() -> None:
    assert CARD.index("<!-- cells -->") == min(CARD.index(f"<!-- {name} -->") for name in PARTS)
    before = CARD[: CARD.index("<!-- cells -->")]
    assert "\n|" not in before
    for cell in ("east asian, f", "black, m", "indian, f", "white, m", "others, f"):
        assert f"| {cell} |" in CARD


def test_no_rate_of_a_cell_is_printed_from_fewer_than_thirty_false_matches(accuracy: ModuleType) -> None:
    table = accuracy.tables(json.loads(accuracy.RECORD.read_text("utf-8")), store.known("standard"))["cells"]
    rates = re.findall(r"\| (rarer than )?[\d.e-]+[^|;]*; (\d+) of [\d,]+ (?=\|)", table)
    assert len(rates) == 2 * 10
    assert all(bool(rarer) == (int(errors) < 30) for rarer, errors in rates)


def test_the_card_names_what_is_not_measured_and_misuse() -> None:
    for words in (
        *("same origin and sex", "Latino", "Southeast Asian", "Middle Eastern", "under 16", "mask", "twins"),
        *("siblings", "Children", "Profile", "Human review", "must not be used", "rarer than", "calibrate"),
    ):
        assert words in CARD, words


def test_the_record_is_of_the_pack_that_ships(record: dict[str, Any]) -> None:
    measured = {(row.measure, row.data): row.value for row in store.known("standard").accuracy}
    by_level = {row["similarity"]: row for row in record["lfw"]["at_similarity"]}
    for level in (80.0, 90.0):
        missed = measured[f"FNMR at {level:.0f}", "lfw-dev"]
        assert by_level[level]["fnmr"]["value"] == pytest.approx(missed, abs=0.01)
    # People whom no cohort was drawn for: every pair of different people of lfw-dev.
    assert by_level[80.0]["fmr"]["value"] <= 1e-3
    assert by_level[90.0]["fmr"]["value"] <= 1e-4
    shipped = record["steps"][-1]
    assert "standard" in shipped["name"]
    assert shipped["at"]["1e-03"]["accepted"] == pytest.approx(1 - measured["FNMR at 80", "lfw-dev"], abs=0.01)


def test_people_outside_the_calibration_get_about_the_promised_rates(record: dict[str, Any]) -> None:
    assert len(record["apart"]) == 2
    for half in record["apart"]:
        assert half["at"]["80"]["mean"] == pytest.approx(1e-3, rel=0.5)
        assert half["at"]["90"]["mean"] < 4e-4


def test_the_readme_says_it_in_two_sentences() -> None:
    readme = " ".join((REPOSITORY / "README.md").read_text("utf-8").split())
    assert "different people of the same origin and sex" in readme
    assert "docs/accuracy.md" in readme


def small_world(people: int = 1000) -> LabelledFaces:
    """Two photos of each person in two cells, the second of them crowded together."""
    generator = np.random.default_rng(3)
    numbers = np.repeat(np.arange(people), 2)
    persons = generator.standard_normal((people, 48)) + (np.arange(people) % 2)[:, None] * 0.5
    vectors = unit((persons[numbers] + 0.3 * generator.standard_normal((len(numbers), 48))).astype(np.float32))
    cells = np.where(numbers % 2 == 1, "crowded", "wide")
    return LabelledFaces("world", vectors, numbers.astype(np.int64), cells, cells)


def test_evaluated_people_are_not_learned_from(accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world()
    taught: list[set[int]] = []
    learn = accuracy.default_scorer

    def remembering(vectors: Any, people: Any, groups: Any) -> Any:
        taught.append(set(people.tolist()))
        return learn(vectors, people, groups)

    monkeypatch.setattr(accuracy, "default_scorer", remembering)
    halves = accuracy.apart(world)
    judged = [half["people"] for half in halves]
    assert sum(judged) == 1000
    # Each half teaches 15 models for its curve and one as the pack would; the other half is in none of them.
    assert len(taught) == 2 * 16
    assert not taught[15] & taught[31]
    assert all(taught[15] >= people for people in taught[:16])
    for half in halves:
        assert half["at"]["80"]["mean"] == pytest.approx(1e-3, rel=0.6)


def test_the_cohort_makes_the_cells_even(accuracy: ModuleType) -> None:
    world = small_world()
    rows = [
        accuracy.judged("row", 1, (world, world), learn) for learn in (accuracy.cosine_scorer, accuracy.default_scorer)
    ]
    plain, cohort = (row["at"]["1e-03"]["max_over_geometric_mean"] for row in rows)
    assert cohort < plain
    assert all(row["genuine_pairs"] == 1000 for row in rows)
