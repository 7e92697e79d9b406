"""Manifests: those of the catalogue are valid, and every mistake in one is named."""

from pathlib import Path

import pytest

from likeness.errors import PackInvalid
from likeness.packs import store
from likeness.packs.manifest import Measurement, parse_manifest, read_manifest
from likeness.vision.alignment import View


def parsed(text: str):
    return parse_manifest(text.encode(), described_as="x.toml")


@pytest.mark.parametrize("name", sorted(path.stem for path in store.CATALOGUE.glob("*.toml")))
def test_every_pack_of_the_catalogue_states_where_its_files_come_from_and_on_which_terms(name: str) -> None:
    entry = store.known(name)
    assert entry.name == name
    assert entry.summary
    for file in entry.files.values():
        assert file.licence, file.name
        assert file.licence_url.startswith("https://"), file.name
        assert file.terms, file.name
        assert file.source is not None
        assert len(file.source.sha256) == 64
    for distribution in entry.distributions.values():
        assert distribution.version in distribution.file
        assert any(f.source and distribution.id in f.source.distributions for f in entry.files.values())


def test_the_standard_pack_has_every_role_and_leaves_out_what_may_not_be_used_commercially() -> None:
    entry = store.known("standard")
    assert set(entry.roles) >= {"detector", "embedder", "mesh", "expression"}
    assert "68" not in "".join(f.source.path for f in entry.files.values() if f.source)
    assert {f.licence for f in entry.files.values()} <= {"MIT", "BSD-3-Clause", "Apache-2.0", "CC0-1.0"}


def test_a_manifest_gives_typed_values(tiny) -> None:
    manifest = parsed(tiny.entry)
    embedder = manifest.embedder_input()
    assert (embedder.size_px, embedder.scale, embedder.colour) == (32, 1.0, "rgb")
    assert embedder.views == (View(), View(mirror=True))
    assert embedder.lengths == "agreement"
    assert embedder.template[0] == (8.0, 8.0)
    assert manifest.role("detector").family == "yunet"
    assert manifest.calibration is not None
    assert manifest.calibration.equal_error_rate == 0.01
    assert manifest.accuracy[0].value == 0.5
    assert manifest.distributions["big"].project == "big"
    assert manifest.folder is None


def test_a_figure_without_enough_errors_is_told_as_a_bound(tiny) -> None:
    text = """
        [[accuracy]]
        measure = "FMR at 90"
        data = "a"
        value = 1e-4
        low = 0.0
        high = 3e-4
        errors = {}
        pairs = 100_000
    """
    few, enough = (parsed(tiny.entry + text.format(errors)).accuracy[-1] for errors in (10, 30))
    assert (few.value_text(), few.interval_text(), few.counted) == ("rarer than 3.0e-04", "", "10 of 100,000")
    assert (enough.value_text("{:.1e}"), enough.interval_text("{:.0e}")) == ("1.0e-04", "0e+00 to 3e-04")
    ratio = Measurement("FMR at 90, max over min", "cells", 2.5, errors=7)
    assert (ratio.value_text(), ratio.counted, ratio.measured) == ("2.5", "7 or more a cell", False)
    unknown = Measurement("accuracy", "a", 0.99)
    assert (unknown.value_text(), unknown.interval_text(), unknown.counted, unknown.measured) == ("0.99", "", "", True)


def test_other_settings_of_a_role_scoring_and_quality_are_kept(tiny) -> None:
    manifest = parsed(
        tiny.entry.replace('family = "yunet"', 'family = "yunet"\nscore_threshold = 0.4')
        + '[scoring]\nmethod = "normalised"\nnearest = 100\n[scoring.files]\ncohort = "a.onnx"\n'
        + "[quality.LOW]\nmin_side_px = 30\n"
    )
    assert manifest.role("detector").parameters == {"score_threshold": 0.4}
    assert manifest.scoring.method == "normalised"
    assert manifest.scoring.files == {"cohort": "a.onnx"}
    assert manifest.scoring.parameters == {"nearest": 100}
    assert manifest.quality == {"LOW": {"min_side_px": 30.0}}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "tiny"', 'name = "../up"', r"matching regex .* at `pack.name`"),
        ('[files."a.onnx"]', '[files."../a.onnx"]', r"files.../a.onnx.*matching regex"),
        ('file = "a.onnx"', 'file = "c.onnx"', "names the file 'c.onnx', which the pack does not have"),
        ('family = "yunet"', 'family = "viola"', "has the family 'viola'; detectors are yunet"),
        ("[roles.detector]", "[roles.detective]", "known are detector, embedder, mesh"),
        ("[roles.detector]", "[roles.mesh]", "has no role 'detector'"),
        ("size_px = 32", "size_px = 4", r"roles.embedder.*Expected `int` >= 16 - at `size_px`"),
        ("scale = 1.0", "scale = 0", "Expected `float` >= 0.001 - at `scale`"),
        ("scale = 1.0", "scale = inf", r"Expected `float` <= 100000.0 - at `scale`"),
        ("scale = 1.0", "scale = nan", "Expected `float` >= 0.001 - at `scale`"),
        ("scale = 1.0", "scael = 3", r"roles.embedder.*unknown field `scael`"),
        ("[0.0, 0.0, 0.0]", "[0.0, nan, 0.0]", r"Expected `float` >= -1000.0 - at `mean.1"),
        ("[0.0, 0.0, 0.0]", "[0.0, 0.0, -inf]", r"Expected `float` >= -1000.0 - at `mean.2"),
        ('family = "yunet"', 'family = "yunet"\nmean = [nan, 0, 0]', r"roles.detector.*>= -1000.0 - at `mean.0"),
        ('family = "yunet"', 'family = "yunet"\nscale = 1e-300', r"roles.detector.*>= 0.001 - at `scale`"),
        ('family = "yunet"', 'family = "yunet"\nscore_threshold = nan', r"roles.detector.* - at `score_threshold`"),
        ("[8, 8]", "[nan, 8]", r"roles.embedder.*`template` has a point that is not on the chip"),
        ("[8, 8]", "[8, 1e30]", r"`template` has a point that is not on the chip"),
        ("[8, 8]", "[24, 8.5]", r"`template` has its eyes at one place"),
        ("size_px = 32", 'size_px = 32\nviews = [{ points = "mesh" }]', "`views` by the points of the mesh"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0]", "length 3, got 1 - at `mean`"),
        ("template = [[8, 8], ", "template = [", "length 5, got 4 - at `template`"),
        ("[8, 8]", '["a", 8]', r"Expected `float`, got `str` - at `template.0"),
        ("size_px = 32", 'size_px = 32\ncolour = "grey"', "'grey' - at `colour`; known are rgb, bgr"),
        ('distribution = "small"', 'distribution = "other"', "names the distribution 'other'"),
        ('distribution = "small"', 'distribution = "small"\nweights = "other"', "names the distribution 'other'"),
        ('distribution = "small"', 'distribution = "small"\nfile = "x.onnx"', "exactly one of"),
        ('distribution = "small"', 'url = "https://x/y.onnx"', "unknown field `url` - at `source`"),
        ("scores = [0.2, 0.4]", "scores = [0.4, 0.2]", "must rise in score"),
        ("scores = [0.2, 0.4]", 'scores = ["a", "b"]', "got `str` - at `calibration.scores"),
        ('version = "1"', "version = 1", "Expected `str`, got `int` - at `pack.version`"),
        ('version = "1"', 'version = "1"\ncolour = "red"', "unknown field `colour` - at `pack`"),
        ("size_px = 32", "size_px = 32\nviews = [{ zoom = 2 }]", "unknown field `zoom` - at `views"),
        ("size_px = 32", "size_px = 32\nviews = []", "Expected `array` of length >= 1 - at `views`"),
        ("equal_error_rate", "equal_rate", "unknown field `equal_rate` - at `calibration`"),
        ("measured_log10_rate = -3.5", "", "missing required field `measured_log10_rate` - at `calibration`"),
        ("measured_log10_rate = -3.5", "measured_log10_rate = nan", "between -12 and 0"),
        ("[roles.detector]", '[quality.LOW]\nmin_side_px = "a"\n[roles.detector]', r"\[quality.LOW\].*got `str`"),
        ('sha256 = "', 'sha256 = "x', r"distributions.small.*matching regex .*`sha256`"),
        ("[pack]", "[pack", "is not readable TOML"),
        ("[pack]", f"[[pack]]\nsize = {'9' * 5000}", "is not readable TOML"),
        ("[pack]", f"[pack]\nsummary = {'[' * 100_000}", "is nested too deeply"),
        (
            'project = "big"',
            'project = "big"\nindex = "cargo"',
            r"distributions.big.*'cargo' - at `index`; known are python, npm, web",
        ),
        ("value = 0.5", 'value = "good"', r"Expected `float`, got `str` - at `accuracy.0..value`"),
        ("value = 0.5", f"value = 1{'0' * 400}", r"out of range - at `accuracy.0..value`"),
        ("scores = [0.2, 0.4]", f"scores = [0.2, 1{'0' * 400}]", r"out of range - at `calibration.scores.1"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tiny, old: str, new: str, message: str) -> None:
    assert old in tiny.entry
    with pytest.raises(PackInvalid, match=message):
        parsed(tiny.entry.replace(old, new, 1))


def test_a_pack_must_state_the_hash_of_each_file(tiny) -> None:
    first = tiny.entry.partition('[files."a.onnx"]\n')[2].partition("\n")[0]
    with pytest.raises(PackInvalid, match=r"\[files.a.onnx\]: needs sha256"):
        parsed(tiny.entry.replace(f"{first}\nlicence", "licence", 1))


def test_a_folder_without_manifest_and_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(PackInvalid, match=r"manifest.toml cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PackInvalid, match="is not readable TOML"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "../standard", "Standard", "nothing", "a/b"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(PackInvalid, match=r"known are .*standard"):
        store.known(name)


def test_a_pack_table_of_another_type_is_named() -> None:
    for text in ("pack = 5", 'pack = "standard"'):
        with pytest.raises(PackInvalid, match="pack"):
            parsed(text)
