"""`likeness evaluate` on a table of photos: cells, figures, the page, and errors in one line."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.cli import evaluate
from likeness.cli.main import main
from likeness.evaluation.embeddings import Embeddings
from likeness.vision.embedding import unit

PEOPLE = 60


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = ["image,person,group,sex"]
    for person in range(PEOPLE):
        for photo in (1, 2):
            name = f"{person:03}-{photo}.jpg"
            Image.new("RGB", (30, 30), (person, photo, 9)).save(tmp_path / name)
            lines.append(f"{name},{person},{'ab'[person % 2]},{'f' if person else ''}")
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def drawn_vectors(monkeypatch: pytest.MonkeyPatch, standard_pack: None) -> None:
    """Vectors as a network would make them, in place of photos."""
    generator = np.random.default_rng(4)
    persons = generator.standard_normal((PEOPLE, 192))

    def embed(_: Any, photos: Sequence[Path], **__: Any) -> Embeddings:
        means = persons[[int(path.name[:3]) for path in photos]]
        return Embeddings(unit(means + 0.5 * generator.standard_normal(means.shape)), {})

    monkeypatch.setattr(evaluate, "embed_photos", embed)


def test_rates_within_cells(
    table: Path, drawn_vectors: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    command = ["evaluate", str(table), "--within", "group,sex", "--json", str(figures), "--report", str(page)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "a, f" in printed
    assert "GARBE" in printed
    measured = json.loads(figures.read_text("utf-8"))
    assert {name: cell["people"] for name, cell in measured["cells"].items()} == {"a, f": 29, "b, f": 30}
    assert measured["cells"]["b, f"]["impostor_pairs"] == 30 * 29 // 2 * 4
    assert measured["left_out"]["in no cell, or in one of too few people"] == 2
    rows = [row for cell in measured["cells"].values() for row in cell["at_similarity"]]
    assert {row["similarity"] for row in rows} == {50, 80, 90, 95, 99}
    rates = [row[kind] for row in rows for kind in ("fmr", "fnmr")]
    assert {("value" in rate, "rarer_than" in rate, rate["errors"] >= 30) for rate in rates} == {
        (True, False, True),
        (False, True, False),
    }
    assert page.read_text("utf-8").count("data:image/jpeg") > 40


def test_counts_of_cells_are_kept_beside_the_vectors(table: Path, drawn_vectors: None, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert main(["evaluate", str(table), "--within", "group,sex", "--embeddings", str(kept)]) == 0
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("SELECT count(*) FROM counts").fetchone() == (2,)


def test_all_people_are_one_cell_by_default(
    table: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(table)]) == 0
    assert f"all   {PEOPLE}" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    option: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "embed_photos", None)
    assert main(["evaluate", str(table), option, str(tmp_path / "none" / "file")]) == 255
    assert capsys.readouterr().err == f"likeness: {tmp_path}/none/file: there is no folder {tmp_path}/none\n"


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize("name", ["people.csv", "000-1.jpg", "kept"])
def test_no_output_replaces_an_input(
    standard_pack: None,
    option: str,
    name: str,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate, "embed_photos", None)
    monkeypatch.chdir(table.parent)
    assert main(["evaluate", str(table), "--embeddings", "kept", option, f"./{name}"]) == 255
    assert capsys.readouterr().err == f"likeness: {name}: the command already uses this file; choose another\n"


def test_two_outputs_are_two_files(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "embed_photos", None)
    both = str(tmp_path / "both")
    assert main(["evaluate", str(table), "--json", both, "--report", both]) == 255
    assert "the command already uses this file" in capsys.readouterr().err


@pytest.fixture
def two_pairs(table: Path) -> Path:
    path = table.with_name("pairs.csv")
    path.write_text("image_a,image_b,same\n000-1.jpg,001-1.jpg,0\n000-1.jpg,000-1.jpg,1\n", "utf-8")
    return path


def test_one_pair_of_each_kind_has_a_page(two_pairs: Path, drawn_vectors: None, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["evaluate", str(two_pairs), "--report", str(page)]) == 0
    assert page.read_text("utf-8").count("<svg") == 3


def test_a_page_that_fails_costs_no_figures(
    two_pairs: Path, drawn_vectors: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluate, "write_report", fails)
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    assert main(["evaluate", str(two_pairs), "--json", str(figures), "--report", str(page)]) == 255
    assert json.loads(figures.read_text("utf-8"))["genuine_pairs"] == 1


def test_a_folder_of_photos_that_is_not_there_is_told_before_the_work(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "embed_photos", None)
    assert main(["evaluate", str(table), "--images", "/nowhere"]) == 255
    assert capsys.readouterr().err == "likeness: --images /nowhere: no such folder\n"


def test_photos_of_which_none_can_be_used_are_one_line(
    two_pairs: Path, tmp_path: Path, standard_pack: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    assert main(["evaluate", str(two_pairs), "--images", str(tmp_path / "none")]) == 255
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("likeness: no photo could be used; the reason for the first: source photo (")
    assert "000-1.jpg): the file cannot be read" in said


def test_cells_need_a_table_of_photos(tmp_path: Path, standard_pack: None, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("image_a,image_b,same\na.jpg,b.jpg,1\n", "utf-8")
    assert main(["evaluate", str(pairs), "--within", "group"]) == 255
    assert "--within needs a table of photos" in capsys.readouterr().err


def test_a_column_that_is_not_there_is_said_before_any_work(
    table: Path, standard_pack: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(table), "--within", "origin"]) == 255
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no column origin; it has group, sex" in error


@pytest.mark.engine
def test_a_pack_without_a_calibration_is_refused_before_any_photo(
    table: Path, own_pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "embed_photos", lambda *_, **__: pytest.fail("photos were analysed"))
    assert main(["evaluate", str(table), "--pack", str(own_pack)]) == 255
    printed = capsys.readouterr().err
    assert "has no [calibration]" in printed
    assert "uncalibrated" not in printed  # which this command does not take
