"""`likeness calibrate`: learning from labelled photos, writing into a pack, and errors in one line."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness import packs
from likeness.cli.main import main
from likeness.evaluation import labelled
from likeness.evaluation.cohort import COUNT, NEAREST
from likeness.evaluation.embeddings import Embeddings
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import read_manifest
from likeness.vision.embedding import unit

PEOPLE = 400
#: How many numbers the embedder's vectors have, and their length.
SIZE, LENGTH = 192, 70.0


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two photos of each person, and each with the next person's."""
    lines = ["fold,image_a,image_b,same"]
    for person in range(PEOPLE):
        fold, other = person % 5, (person + 5) % PEOPLE
        lines.append(f"{fold},p{person:03}/1.jpg,p{person:03}/2.jpg,1")
        lines.append(f"{fold},p{person:03}/1.jpg,p{other:03}/2.jpg,0")
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def pack(tmp_path: Path, standard_pack: None) -> Path:
    """A copy of the pack that may be written to."""
    return Path(shutil.copytree(pack_folder("standard"), tmp_path / "pack"))


@pytest.fixture
def drawn_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors as a good network would make them, in place of photos."""
    generator = np.random.default_rng(4)
    persons = generator.standard_normal(64) + 0.6 * generator.standard_normal((PEOPLE, 64))
    network = generator.standard_normal((64, SIZE))

    def embed(_: Any, photos: Sequence[Path], **__: Any) -> Embeddings:
        means = persons[[int(path.parent.name[1:]) for path in photos]]
        seen = (means + 0.25 * generator.standard_normal(means.shape)) @ network
        return Embeddings(LENGTH * unit(seen), {0: "no face found"})

    monkeypatch.setattr(labelled, "embed_photos", embed)


def test_a_pack_learns_and_still_loads(
    pairs: Path, pack: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_manifest(pack)
    assert main(["calibrate", str(pairs), "--pack", str(pack), "--into", str(pack)]) == 0
    printed = capsys.readouterr().out
    assert "1 without a usable face" in printed
    assert "(extrapolated)" in printed
    after = read_manifest(pack)
    cohort = after.scoring.files["cohort"]
    assert f"written: {pack / cohort}" in printed
    assert after.calibration
    assert after.calibration.within == ()
    assert after.calibration != before.calibration
    assert {row.data for row in after.accuracy} <= {pairs.parent.name, "all", "mean of cells"}
    measured = {row.measure: row for row in after.accuracy}
    assert measured["FMR at 80"].value == pytest.approx(1e-3, rel=0.02)
    assert measured["FMR at 80, worst cell"].low is not None
    assert measured["FNMR at 80"].low is not None
    for row in after.accuracy:
        if "at 80" in row.measure:
            assert row.pairs
            assert row.errors == pytest.approx(row.value * row.pairs, rel=1e-3)
    assert "accuracy over folds" in measured
    assert packs.load(pack).array(cohort).shape == (COUNT, SIZE)
    assert after.scoring.parameters["nearest"] == NEAREST
    assert set(after.roles) == set(before.roles)


def test_the_curve_alone(pairs: Path, pack: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_manifest(pack)
    # The pack's own cohort knows nothing of these vectors.
    text = (pack / "manifest.toml").read_text("utf-8").replace('method = "normalised"', 'method = "cosine"')
    (pack / "manifest.toml").write_text(text, "utf-8")
    assert main(["calibrate", str(pairs), "--into", str(pack), "--keep-scoring"]) == 0  # --pack is that of --into
    after = read_manifest(pack)
    assert after.calibration != before.calibration
    assert after.scoring.method == "cosine"
    assert after.accuracy[0].command.endswith(f"--keep-scoring --pack {pack}")
    assert "Fitted and evaluated on the same people" in capsys.readouterr().out
    assert after.files["cohort.npy"] == before.files["cohort.npy"]


def test_nothing_is_written_unasked(pairs: Path, pack: Path, drawn_vectors: None) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in pack.iterdir()}
    assert main(["calibrate", str(pairs), "--pack", str(pack)]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in pack.iterdir()} == before


def test_too_few_photos_are_one_line(
    tmp_path: Path, pack: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few.csv"
    few.write_text("image_a,image_b,same\np001/1.jpg,p001/2.jpg,1\np001/1.jpg,p002/1.jpg,0\n", "utf-8")
    assert main(["calibrate", str(few), "--pack", str(pack), "--into", str(pack)]) == 255
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "2 faces in groups are too few to draw cohorts from: " in error
    assert "0 are left, and 500 are needed; --keep-scoring draws none" in error


def test_a_file_that_is_not_there_is_one_line(
    standard_pack: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(tmp_path / "none.csv")]) == 255
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "none.csv" in error


def test_a_pack_that_is_not_there_is_told_before_the_work(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labelled, "embed_photos", None)
    for into, missing in ((tmp_path / "none", "none/manifest.toml"), (pairs, "pairs.csv/manifest.toml")):
        assert main(["calibrate", str(pairs), "--into", str(into)]) == 255
        assert capsys.readouterr().err == f"likeness: {into} is no pack: there is no file {tmp_path}/{missing}\n"


def test_rates_of_one_pack_are_not_written_into_another(
    pairs: Path, pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labelled, "embed_photos", None)  # before any photo is analysed
    manifest = pack / "manifest.toml"
    was = manifest.read_text("utf-8")
    fed_otherwise = was.replace('colour = "rgb"', 'colour = "bgr"')
    assert fed_otherwise != was
    for changed, more in ((fed_otherwise, []), (was.replace('"normalised"', '"cosine"'), ["--keep-scoring"])):
        manifest.write_text(changed, "utf-8")
        assert main(["calibrate", str(pairs), "--pack", "standard", "--into", str(pack), *more]) == 255
        assert "has other networks, or another input or cohort, than the pack standard" in capsys.readouterr().err
        assert manifest.read_text("utf-8") == changed


def test_a_pack_of_the_cache_is_not_calibrated_in_place(
    pairs: Path, standard_pack: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installation would replace it."""
    monkeypatch.setattr(labelled, "embed_photos", None)
    folder = pack_folder("standard")
    assert main(["calibrate", str(pairs), "--into", str(folder)]) == 255
    copied = f"cp -r {folder} ./standard && likeness calibrate PEOPLE.csv --within group,sex --pack ./standard"
    assert copied in capsys.readouterr().err


@pytest.mark.parametrize("command", ["calibrate", "evaluate"])
def test_a_device_that_is_missing_is_an_error(
    command: str, portraits: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(f"image_a,image_b,same\n{portraits['obama.jpg']},{portraits['obama2.jpg']},1\n", "utf-8")
    assert main([command, str(table), "--device", "directml"]) != 0
    error = capsys.readouterr().err
    assert "directml" in error
    assert "unrecognized" not in error  # it is the device that is missing, not the option


def test_cells_share_the_promise(
    tmp_path: Path, pairs: Path, pack: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "people" / "people.csv"
    table.parent.mkdir()
    lines = ["image,person,group,sex"]
    for person in range(PEOPLE):
        group = "a" if person % 4 else "b"
        lines += [f"p{person:03}/{photo}.jpg,{person},{group},{'fm'[person % 2]}" for photo in (1, 2)]
    table.write_text("\n".join(lines) + "\n", "utf-8")
    command = ["calibrate", str(table), str(pairs), "--within", "group,sex", "--pack", str(pack), "--into", str(pack)]
    assert main(command) == 0
    assert "False match rate at 80 by cell" in capsys.readouterr().out
    after = read_manifest(pack)
    assert after.calibration
    assert after.calibration.whom == "different people of the same group and sex"
    rows = {(row.measure, row.data): row.value for row in read_manifest(pack).accuracy}
    cells = [rows["FMR at 80", cell] for cell in ("a, f", "a, m", "b, f")]
    assert rows["FMR at 80", "mean of cells"] == pytest.approx(1e-3, rel=0.05)
    assert np.mean(cells) == pytest.approx(1e-3, rel=0.05)
    assert rows["FMR at 80, max over min", "cells"] == pytest.approx(max(cells) / min(cells), rel=0.01)
    # The pairs teach what photos of one person score, and are in no cell.
    assert ("FNMR at 80", pairs.parent.name) in rows
    assert "--within group,sex" in read_manifest(pack).accuracy[0].command


def test_a_column_that_is_not_there_is_one_line(
    tmp_path: Path, pack: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "people.csv"
    table.write_text("image,person\np001/1.jpg,1\n", "utf-8")
    assert main(["calibrate", str(table), "--within", "group", "--pack", str(pack)]) == 255
    assert "no column group" in capsys.readouterr().err
