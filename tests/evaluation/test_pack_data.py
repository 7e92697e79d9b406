"""Writing calibration results: the manifest stays valid, and the rest unchanged."""

import errno
import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from likeness.calibrated import calibration_fault
from likeness.errors import PackInvalid
from likeness.evaluation import pack_data
from likeness.evaluation.cohort import NEAREST, Cohort
from likeness.evaluation.pack_data import Learned, cohort_file, replaced, write_pack_data
from likeness.packs.manifest import Measurement, parse_manifest, read_manifest
from likeness.packs.store import damages
from likeness.system.atomic_file import write_atomically
from likeness.vision.calibration import Calibration

ones = "1" * 64
DESCRIPTION = f"""\
# A pack for trying things.
[pack]
name = "tiny"
version = "1"

[files."a.onnx"]
sha256 = "{hashlib.sha256(b"").hexdigest()}"
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
COHORT_NAME = f"cohort-{hashlib.sha256(cohort_file(COHORT)).hexdigest()[:12]}.npy"
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
    assert written == [tmp_path / name for name in ("manifest.toml", COHORT_NAME)]
    manifest = parse_manifest((tmp_path / "manifest.toml").read_bytes(), described_as="tiny", folder=tmp_path)
    assert manifest.scoring.files == {"cohort": COHORT_NAME}
    assert manifest.files[COHORT_NAME].size == len(cohort_file(COHORT))
    assert manifest.files[COHORT_NAME].source is None


def test_a_pack_names_what_its_calibration_is_for(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(DESCRIPTION, "utf-8")
    write_pack_data(tmp_path, LEARNED)
    manifest = read_manifest(tmp_path)
    assert manifest.table["calibration"]["cohort"] == manifest.files[COHORT_NAME].sha256
    assert calibration_fault(manifest) == ""
    text = path.read_text("utf-8")
    for changed in (
        text.replace('method = "normalised"', 'method = "cosine"'),
        text.replace(f'vectors = "{manifest.vector_identity}"', f'vectors = "{"0" * 24}"'),
    ):
        assert changed != text
        path.write_text(changed, "utf-8")
        assert "calibrate again with `likeness calibrate" in calibration_fault(read_manifest(tmp_path))


def test_the_cohort_before_is_gone_only_once_the_new_description_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.toml").write_text(DESCRIPTION, "utf-8")
    (tmp_path / "a.onnx").touch()
    write_pack_data(tmp_path, LEARNED)
    other = replace(LEARNED, cohort=Cohort(COHORT.vectors[::-1], 0.9))
    written: list[str] = []

    def write(path: Path, content: bytes, *, mode: int) -> None:
        if path.name == "manifest.toml":
            assert not damages(tmp_path)
            raise OSError(errno.ENOSPC, "no space left")
        written.append(path.name)
        write_atomically(path, content, mode=mode)

    with monkeypatch.context() as full_disk:
        full_disk.setattr(pack_data, "write_atomically", write)
        with pytest.raises(OSError, match="no space left"):
            write_pack_data(tmp_path, other)
    assert written
    assert not damages(tmp_path)
    assert read_manifest(tmp_path).scoring.files == {"cohort": COHORT_NAME}
    write_pack_data(tmp_path, other)
    assert not damages(tmp_path)
    assert set(written) == {path.name for path in tmp_path.glob("*.npy")}
    assert len(read_manifest(tmp_path).files) == 2


def test_a_cohort_that_another_folder_shares_is_left_alone(tmp_path: Path) -> None:
    """Installed versions share files by hard links."""
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "manifest.toml").write_text(DESCRIPTION, "utf-8")
    (folder / "cohort.npy").write_bytes(b"old")
    (tmp_path / "linked.npy").hardlink_to(folder / "cohort.npy")
    write_pack_data(folder, LEARNED)
    assert (tmp_path / "linked.npy").read_bytes() == b"old"
    assert not (folder / "cohort.npy").exists()


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
