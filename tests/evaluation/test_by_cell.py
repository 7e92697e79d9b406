"""Evaluation by cell: every pair once, bounded memory, a page with photos that reveals wrong labels."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness.evaluation import by_cell, stored_counts
from likeness.evaluation.by_cell import CalibratedScorer, CellEvaluation, blocks_of, cells_to_compare, evaluate_cells
from likeness.evaluation.cell_report import cell_rows, differential_rows, missed_rows, write_cell_report
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.measure import AtSimilarity
from likeness.evaluation.photo_table import PhotoTable
from likeness.evaluation.rates import Rate
from likeness.evaluation.report import FEW, TOO_FEW, cells_text, fmr_text, rate_cells
from likeness.evaluation.results_file import opened
from likeness.evaluation.stored_counts import StoredCounts
from likeness.vision.calibration import Calibration
from likeness.vision.products import unit
from likeness.vision.scoring import Profile, Scorer

CURVE = Calibration((0.0, 0.2, 0.4, 0.6, 0.8), (-0.3, -1.5, -3.0, -4.0, -6.0), 0.01, -4.5)
PEOPLE = 120


def faces() -> tuple[PhotoTable, Embeddings]:
    """Two photos of each person in two cells, of which the second is crowded together; a few in neither."""
    generator = np.random.default_rng(0)
    numbers = np.repeat(np.arange(PEOPLE), 2)
    crowded = numbers % 2
    persons = generator.standard_normal((PEOPLE, 24)) + 1.0 * (np.arange(PEOPLE) % 2)[:, None]
    vectors = unit((persons[numbers] + 0.3 * generator.standard_normal((len(numbers), 24))).astype(np.float32))
    cells = np.where(crowded == 1, "crowded", "wide")
    cells[-6:] = ""
    table = PhotoTable(
        tuple(f"{number}.jpg" for number in range(len(numbers))), numbers.astype(np.int64), {"group": cells}
    )
    return table, Embeddings(vectors, {0: "no face"})


def evaluated(monkeypatch: pytest.MonkeyPatch, block: int = 50) -> CellEvaluation:
    monkeypatch.setattr(by_cell, "_BLOCK", block)
    table, embeddings = faces()
    advanced: list[None] = []
    cells = cells_to_compare(table, embeddings, ["group"])
    result = evaluate_cells(
        CalibratedScorer(Scorer(), CURVE), table, embeddings, cells, advance=lambda: advanced.append(None)
    )
    assert len(advanced) == blocks_of({name: len(inside) for name, inside in cells.items()})
    return result


def test_every_pair_of_a_cell_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluated(monkeypatch)
    table, embeddings = faces()
    for name, counts in result.cells.items():
        inside = np.flatnonzero((table.columns["group"] == name) & embeddings.usable)
        first, second = (inside[places] for places in np.triu_indices(len(inside), k=1))
        cosines = (embeddings.vectors[first] * embeddings.vectors[second]).sum(axis=1).astype(np.float64)
        similarities = CURVE.similarity(cosines)
        different = table.people[first] != table.people[second]
        assert counts.pairs == (int((~different).sum()), int(different.sum()))
        assert counts.false_matches()[1] == int((similarities[different] >= 80).sum())
    rates = {name: counts.false_match_rates()[1].value for name, counts in result.cells.items()}
    assert rates["crowded"] > 3 * rates["wide"]
    assert result.left_out == {
        "without a usable face": 1,
        "in no cell, or in one of too few people": 6,
    }


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    small, whole = evaluated(monkeypatch, 37), evaluated(monkeypatch, 1000)
    assert cell_rows(small) == cell_rows(whole)
    assert [(m.first, m.second) for m in small.worst] == [(m.first, m.second) for m in whole.worst]


def test_the_worst_pairs_are_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluated(monkeypatch)
    similarities = [mistake.similarity for mistake in result.worst]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 24
    table, _ = faces()
    number = dict(zip(table.photos, table.people, strict=True))
    assert all(number[mistake.first] != number[mistake.second] for mistake in result.worst)
    assert all(number[mistake.first] == number[mistake.second] for mistake in result.missed)
    assert result.missed[0].similarity == min(mistake.similarity for mistake in result.missed)


def test_an_interrupted_evaluation_resumes_where_it_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = evaluated(monkeypatch)
    monkeypatch.setattr(stored_counts, "_WRITE_INTERVAL_S", 0.0)
    table, embeddings = faces()
    cells = cells_to_compare(table, embeddings, ["group"])
    compared = 0

    class Counting(Scorer):
        def compare(self, a: Profile, b: Profile) -> NDArray[np.float64]:
            nonlocal compared
            compared += 1
            return super().compare(a, b)

    def run(of: str, blocks: int | None) -> CellEvaluation:
        advance = Mock(side_effect=[None] * (blocks - 1) + [KeyboardInterrupt] if blocks else None)
        with opened(tmp_path / "kept") as database:
            return evaluate_cells(
                CalibratedScorer(Counting(), CURVE),
                table,
                embeddings,
                cells,
                kept=StoredCounts(database, of),
                advance=advance,
            )

    every = blocks_of({name: len(inside) for name, inside in cells.items()})
    with pytest.raises(KeyboardInterrupt):
        run("pack 1", every // 2 + 1)
    resumed = run("pack 1", None)
    assert compared == every
    assert cell_rows(resumed) == cell_rows(whole)
    assert (resumed.worst, resumed.missed) == (whole.worst, whole.missed)
    assert differential_rows(run("pack 1", None)) == differential_rows(whole)
    assert compared == every, "a finished evaluation is not counted again"
    run("pack 2", None)
    assert compared == 2 * every, "counts of another pack are not taken"


def test_few_people_are_no_cell() -> None:
    table, embeddings = faces()
    few = PhotoTable(table.photos, table.people, {"group": np.where(table.people < 10, "few", "")})
    assert cells_to_compare(few, embeddings, ["group"]) == {}
    with pytest.raises(ValueError, match="no cell has 20 people"):
        evaluate_cells(CalibratedScorer(Scorer(), CURVE), few, embeddings, {})


def test_rows_say_promise_worst_and_inequality(monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluated(monkeypatch)
    rows = {row[0]: row for row in differential_rows(result)}
    assert rows["80"][1] == "1.0e-03"
    assert rows["99"][1] == "1.0e-06 (extrapolated)"
    assert "crowded" in rows["80"][3]
    for place, row in enumerate(differential_rows(result)):
        seen = sum(counts.false_matches()[place] for counts in result.cells.values())
        assert [TOO_FEW in cell for cell in (row[2], *row[4:])] == [seen < 30] * 5
        fewest = min(counts.false_matches()[place] for counts in result.cells.values())
        assert (FEW in row[4]) == (0 < fewest < 30 <= seen)
    assert TOO_FEW in rows["99"][2]
    assert len(missed_rows(result)) == 2
    for row, counts in zip(cell_rows(result), result.cells.values(), strict=True):
        assert [" to " in cell for cell in row[3:]] == [seen >= 30 for seen in counts.false_matches()]
        assert ["rarer than" in cell for cell in row[3:]] == [seen < 30 for seen in counts.false_matches()]


def test_a_rate_that_few_pairs_show_is_a_bound_everywhere() -> None:
    few, enough = (Rate(seen / 10_000, 1e-3, 5e-3, 10_000) for seen in (29, 30))
    missed = Rate(0.1, 0.0, 0.2, 100)
    assert rate_cells(AtSimilarity(90.0, few, missed)) == (
        "90",
        "rarer than 5.0e-03 (29 of 10,000)",
        "0.100* (0.000 to 0.200)",
    )
    assert rate_cells(AtSimilarity(90.0, enough, missed))[1] == "3.0e-03 (1.0e-03 to 5.0e-03)"
    assert cells_text({"a": few, "b": Rate(0.0, 0.0, 1e-3, 3000)}) == (TOO_FEW, "rarer than 5.0e-03 (a)")
    assert fmr_text(Rate(0.0)) == "no pairs"


def test_a_cell_without_a_rate_has_a_bar_and_no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = evaluated(monkeypatch)
    for number in range(2 * PEOPLE):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.jpg")
    write_cell_report(result, tmp_path / "report.html", described="a pack", photo_path=tmp_path.joinpath)
    page = (tmp_path / "report.html").read_text("utf-8")
    levels = [result.cells["wide"].levels.index(level) for level in (80.0, 90.0)]
    seen = [counts.false_matches()[place] for counts in result.cells.values() for place in levels]
    assert 0 < sum(count < 30 for count in seen) < len(seen)
    assert page.count('class="dot a"') == sum(count >= 30 for count in seen)


def test_the_page_holds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluated(monkeypatch)
    for number in range(2 * PEOPLE):
        Image.new("RGB", (40, 40), (number, 90, 90)).save(tmp_path / f"{number}.jpg")
    write_cell_report(result, tmp_path / "report.html", described="a pack", photo_path=tmp_path.joinpath)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert page.count("data:image/jpeg;base64,") == 2 * (len(result.worst) + len(result.missed))
    for words in (
        "Most similar pairs of different people",
        "GARBE",
        "Detection error trade-off",
        "check the labels",
        "crowded",
    ):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")


def test_twenty_thousand_photos_of_one_cell_fit_into_two_gigabytes() -> None:
    """The faces are all there, and memory does not grow from block to block: the first three of 210 are compared.
    `python benchmarks/evaluation.py` compares all of them.
    """
    script = Path(__file__).parents[2] / "benchmarks" / "evaluation.py"
    done = subprocess.run([sys.executable, script, "--blocks", "3"], capture_output=True, text=True, check=True)
    figures = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert figures["blocks"].strip() == "3 of 210"
    assert int(figures["peak memory MB"]) < 1600
