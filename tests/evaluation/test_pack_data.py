"""Writing calibration results: the manifest stays valid, and the rest unchanged."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from likeness.errors import PackInvalid
from likeness.evaluation.cohort import NEAREST, Cohort
from likeness.evaluation.pack_data import Learned, cohort_file, replaced, write_pack_data
from likeness.packs.manifest import Measurement, parse_manifest
from likeness.vision.calibration import Calibration

zeros, ones = "0" * 64, "1" * 64
DESCRIPTION = f"""\
# A pack for trying things.
[pack]
name = "tiny"
version = "1"

[files."a.onnx"]
sha256 = "{zeros}"
licence = "MIT"

[files."cohort.npy"]
sha256 = "{ones}"

[files."cohort.npy".source]
bundled = "tiny/cohort.npy"
sha256 = "{ones}"

[scoring]
method = "cosine"

# Kept with what follows.
[quality.LOW]
min_sharpness = 1.0

[[accuracy]]
measure = "old"
data = "old"
value = 1.0
"""
CURVE = Calibration((0.0, 1.0, 2.0), (-1.0, -3.0, -6.5), 0.01, -5.0)
COHORT = Cohort(np.arange(-100, 100, dtype=np.int8).reshape(50, 4), 0.9)
LEARNED = Learned(CURVE, COHORT, [Measurement("FMR at 80", "some set", 0.001, 0.0008)], "some set", "the command")


def test_a_description_of_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(DESCRIPTION, "utf-8")
    written = write_pack_data(path, LEARNED)
    assert written == [path, tmp_path / "tiny" / "cohort.npy"]
    text = path.read_text("utf-8")
    assert text.startswith("# A pack for trying things.\n[pack]\n")
    manifest = parse_manifest(text.encode(), described_as="tiny")
    assert manifest.calibration == CURVE
    assert manifest.scoring.method == "normalised"
    assert manifest.scoring.files == {"cohort": "cohort.npy"}
    assert manifest.scoring.parameters["nearest"] == NEAREST
    assert [row.measure for row in manifest.accuracy] == ["FMR at 80"]
    assert (manifest.accuracy[0].low, manifest.accuracy[0].high) == (0.0008, None)
    source = manifest.files["cohort.npy"].source
    assert source is not None
    assert source.bundled == "tiny/cohort.npy"
    assert manifest.files["a.onnx"].licence == "MIT"
    assert tomllib.loads(text)["quality"] == {"LOW": {"min_sharpness": 1.0}}
    assert np.array_equal(np.load(written[1]), COHORT.vectors)


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(DESCRIPTION, "utf-8")
    write_pack_data(path, LEARNED)
    once = path.read_bytes()
    write_pack_data(path, LEARNED)
    assert path.read_bytes() == once


def test_a_pack_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(DESCRIPTION, "utf-8")
    written = write_pack_data(tmp_path, LEARNED)
    assert written == [tmp_path / name for name in ("manifest.toml", "cohort.npy")]
    manifest = parse_manifest((tmp_path / "manifest.toml").read_bytes(), described_as="tiny", folder=tmp_path)
    assert manifest.files["cohort.npy"].size == len(cohort_file(COHORT))
    assert manifest.files["cohort.npy"].source is None


def test_a_curve_alone_leaves_the_scoring(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(DESCRIPTION, "utf-8")
    written = write_pack_data(tmp_path, Learned(CURVE, None, [], "some set", "the command"))
    assert written == [tmp_path / "manifest.toml"]
    manifest = parse_manifest((tmp_path / "manifest.toml").read_bytes(), described_as="tiny", folder=tmp_path)
    assert manifest.scoring.method == "cosine"
    assert manifest.files["cohort.npy"].sha256 == "1" * 64
    assert [row.measure for row in manifest.accuracy] == ["old"]


def test_a_description_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text("[pack]\nname = 3\n", "utf-8")
    with pytest.raises(PackInvalid, match="name"):
        write_pack_data(tmp_path, LEARNED)
    assert path.read_text("utf-8") == "[pack]\nname = 3\n"
    assert not (tmp_path / "cohort.npy").exists()


def test_only_whole_tables_are_replaced() -> None:
    text = '[scoring_notes]\na = 1\n\n[scoring]\nb = 2\n\n[scoring.files]\nc = "d"\n\n[roles.mesh]\ne = 3\n'
    assert tomllib.loads(replaced(text, {"scoring": {"method": "cosine"}})) == {
        "scoring_notes": {"a": 1},
        "roles": {"mesh": {"e": 3}},
        "scoring": {"method": "cosine"},
    }
