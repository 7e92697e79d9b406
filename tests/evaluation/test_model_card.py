"""The tables of the model card are those that its command writes from the record, which is of the pack that ships."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from likeness.packs import store

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
    assert set(generated) == {"rates", "steps", "robustness"}
    assert all(f"<!-- {name} -->" in CARD for name in generated)
    assert accuracy.with_tables(CARD, generated) == CARD


def test_a_changed_figure_would_be_seen(accuracy: ModuleType, record: dict[str, Any]) -> None:
    other = json.loads(json.dumps(record))
    other["rates"]["at_similarity"][1]["fmr"]["value"] *= 2
    assert accuracy.with_tables(CARD, accuracy.tables(other)) != CARD


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
