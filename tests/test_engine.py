"""The networks of a pack as steps of the pipeline, and their checks."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from likeness.engine import Engine
from likeness.errors import PackInvalid
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import Manifest, Role
from likeness.runtime.sessions import OnnxNetwork

pytestmark = pytest.mark.engine


def test_a_network_may_leave_the_length_of_its_vectors_open(
    standard_pack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxNetwork, "output_shapes", [["N", "D"]])
    assert Engine("standard").scorer is not None


def test_a_cohort_of_vectors_of_another_network_is_refused(
    standard_pack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxNetwork, "output_shapes", [["N", 1024]])
    with pytest.raises(PackInvalid, match=r"cohort of \[scoring\] has vectors of 192 numbers, .* gives 1024; take"):
        _ = Engine("standard").scorer


def test_a_parameter_that_the_detector_does_not_have_is_named(
    standard_pack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = Manifest.role

    def with_side(manifest: Manifest, name: str) -> Role:
        return replace(role(manifest, name), parameters={"side": 1}) if name == "detector" else role(manifest, name)

    monkeypatch.setattr(Manifest, "role", with_side)
    with pytest.raises(PackInvalid, match=r"\[roles.detector\].*side"):
        _ = Engine("standard").detector


def test_of_a_user_s_own_manifest_the_fault_is_told_and_no_source_to_copy_it_from(
    standard_pack: None, tmp_path: Path
) -> None:
    folder = shutil.copytree(pack_folder("standard"), tmp_path / "own")
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text("utf-8").replace("side_px = 0", 'side_px = "0"'), "utf-8")
    with pytest.raises(PackInvalid, match=r"\[roles.detector\]: Expected `int`, got `str` - at `side_px`$"):
        Engine(folder)


def test_the_scoring_of_an_earlier_version_is_refused_with_a_remedy(standard_pack: None, tmp_path: Path) -> None:
    folder = shutil.copytree(pack_folder("standard"), tmp_path / "old")
    manifest = folder / "manifest.toml"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace('\ncohort = "cohort.npy"', '\nstrangers = "cohort.npy"'), "utf-8")
    with pytest.raises(PackInvalid, match=r"manifest.toml: \[scoring\] .* calibrate again with `likeness calibrate`"):
        _ = Engine(folder).scorer
