"""`likeness packs compare`: two packs on the same people, as a table and a page."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from likeness.authoring import comparison
from likeness.cli.main import main
from likeness.evaluation import by_cell

pytestmark = pytest.mark.engine


@pytest.fixture
def other(own_pack: Path, tmp_path: Path) -> Path:
    """The pack of one's own with a calibration, which is made up."""
    folder = tmp_path / "other"
    shutil.copytree(own_pack, folder)
    with (folder / "manifest.toml").open("a") as file:
        file.write(
            "\n[calibration]\nscores = [0.3, 0.4]\nlog10_rates = [-3.0, -4.0]\nequal_error_rate = 0.01\n"
            "measured_log10_rate = -4.0\n"
        )
    return folder


@pytest.fixture
def people(portraits: dict[str, Path], tmp_path: Path) -> Path:
    """The sample portraits as a table of two people."""
    lines = ["image,person"]
    for name, path in portraits.items():
        shutil.copy(path, tmp_path / name)
        lines.append(f"{name},{name[:5]}")
    table = tmp_path / "people.csv"
    table.write_text("\n".join(lines))
    return table


def test_two_packs_side_by_side(
    other: Path, people: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_cell, "LEAST_PEOPLE", 2)  # the portraits show two
    page = people.with_name("page.html")
    assert main(["packs", "compare", "standard", str(other), "--people", str(people), "--report", str(page)]) == 0
    out = capsys.readouterr().out
    head, *rows = out.split("Error rates by cell\n")[1].split("\n\n")[0].splitlines()
    assert head.split() == ["Cell", "Similarity", "FMR", "standard", "FMR", "own", "FNMR", "standard", "FNMR", "own"]
    assert [row.split()[1] for row in rows if row.startswith("all")] == ["50", "80", "90", "95", "99"]
    for cost in ("processor time of a photo", "size of the files", "memory of the process"):
        line = next(line for line in out.splitlines() if line.startswith(cost))
        assert all(float(word) > 0 for word in line.split() if word[0].isdigit())
    html = page.read_text()
    assert "FNMR own" in html
    assert "memory of the process" in html


def test_packs_take_turns_and_the_fastest_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measured(_: object, pack: str) -> dict[str, float]:
        asked.append(pack)
        return {"seconds": 0.02 + 0.01 * len(asked), "bytes": 7}

    monkeypatch.setattr(comparison, "_timing", lambda *_: nullcontext())
    monkeypatch.setattr(comparison, "_round", measured)
    costs = comparison.time_packs(["a", "b"], [])
    assert asked == ["a", "b"] * comparison.ROUNDS
    assert costs[0].time_text == "30.0 to 110.0 ms"


def test_packs_of_one_name_are_told_apart(people: Path, monkeypatch: pytest.MonkeyPatch, other: Path) -> None:
    again = Path(shutil.copytree(other, other.with_name("again")))
    monkeypatch.setattr(comparison, "_rates_of", lambda *_: (SimpleNamespace(failures={}), "own 1"))
    monkeypatch.setattr(comparison, "time_packs", lambda *_: [None, None])
    named = comparison.measure_packs([str(other), str(again)], comparison.People.read(people, []))
    assert comparison.rates_head(named)[2:4] == (f"FMR {other}", f"FMR {again}")


def test_packs_without_a_calibration_are_not_compared(
    own_pack: Path, people: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "embed_photos", lambda *_, **__: pytest.fail("photos were analysed"))
    assert main(["packs", "compare", "standard", str(own_pack), "--people", str(people)]) != 0
    printed = capsys.readouterr().err
    assert "has no [calibration]" in printed
    assert "likeness calibrate PEOPLE.csv" in printed
    assert "uncalibrated" not in printed  # which this command does not take
