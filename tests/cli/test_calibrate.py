"""`likeness calibrate`: learns from labelled photos, writes into a pack, and says in one line what it cannot do."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness import packs
from likeness.cli import calibrate
from likeness.cli.main import main
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

    monkeypatch.setattr(calibrate, "embed_photos", embed)


def test_a_pack_learns_and_still_loads(
    pairs: Path, pack: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_manifest(pack)
    assert main(["calibrate", str(pairs), "--pack", str(pack), "--into", str(pack), "--name", "drawn"]) == 0
    told = capsys.readouterr().out
    assert "1 without a usable face" in told
    assert "(extrapolated)" in told
    assert f"written: {pack / 'strangers.npy'}" in told
    after = read_manifest(pack)
    assert after.calibration != before.calibration
    assert {row.data for row in after.accuracy} == {"drawn"}
    measured = {row.measure: row for row in after.accuracy}
    assert measured["FMR at 80"].value == pytest.approx(1e-3, rel=0.02)
    assert measured["FMR at 80"].low is not None
    shapes = [packs.load(pack).array(f"{name}.npy").shape for name in ("strangers", "metric", "centre")]
    assert shapes == [(1600, 160), (192, 160), (192,)]
    assert after.scoring.parameters["credit"] == 0.5
    assert set(after.roles) == set(before.roles)


def test_the_curve_alone(pairs: Path, pack: Path, drawn_vectors: None) -> None:
    before = read_manifest(pack)
    # The pack's own strangers know nothing of these vectors.
    text = (pack / "manifest.toml").read_text("utf-8").replace('method = "normalised"', 'method = "cosine"')
    (pack / "manifest.toml").write_text(text, "utf-8")
    assert main(["calibrate", str(pairs), "--pack", str(pack), "--into", str(pack), "--keep-scoring"]) == 0
    after = read_manifest(pack)
    assert after.calibration != before.calibration
    assert after.scoring.method == "cosine"
    assert after.files["strangers.npy"] == before.files["strangers.npy"]


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
    assert "too few" in error


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path / "none.csv")]) == 255
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "none.csv" in error
