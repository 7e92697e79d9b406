"""A pack that lies partly on npm's index, and the one that stands in for it where that index is out of reach."""

from pathlib import Path

import pytest

from likeness import packs
from likeness.cli.packs import main
from likeness.errors import PackDownloadFailed, PackNotInstalled
from likeness.packs import installation, store
from likeness.packs.npm_settings import NpmSettings

from .conftest import FakeIndex, TinyPack, sdist, sha256, tiny_network

LARGER = """
[pack]
name = "larger"
version = "1"
based_on = "tiny"
stand_in = "tiny"

[distributions.more]
index = "npm"
project = "@own/more"
version = "1.0.0"
file = "own-more-1.0.0.tgz"
sha256 = "{tgz_sha}"
size = {tgz_size}

[files."c.onnx"]
licence = "MIT"

[files."c.onnx".source]
distribution = "more"
path = "package/c.onnx"
sha256 = "{c_sha}"
"""


@pytest.fixture
def npm(tiny_index: FakeIndex, tiny_catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """The fake index with the package of `larger` too; its npm side is at /npm."""
    c = tiny_network(4.0)
    package = sdist({"package/c.onnx": c})
    tiny_index.files["own-more-1.0.0.tgz"] = package
    entry = LARGER.format(tgz_sha=sha256(package), tgz_size=len(package), c_sha=sha256(c))
    (tiny_catalogue / "larger.toml").write_text(entry)
    monkeypatch.setattr(installation, "read_npm_settings", lambda: NpmSettings(registry=f"{tiny_index.url}/npm"))
    return tiny_index


@pytest.fixture
def without_npm(npm: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """The same where nobody listens at npm's side."""
    monkeypatch.setattr(installation, "read_npm_settings", lambda: NpmSettings(registry="http://127.0.0.1:9"))
    return npm


def test_a_pack_based_on_another_is_installed_whole(npm: FakeIndex, tiny: TinyPack) -> None:
    pack = packs.load("larger", threads=1)
    folder = pack.manifest.folder
    assert folder is not None
    assert pack.manifest.name == "larger"
    assert {path.name for path in folder.iterdir()} == {"a.onnx", "b.onnx", "c.onnx", "manifest.toml"}
    assert (folder / "a.onnx").read_bytes() == tiny.a
    assert store.damages(folder) == []
    # Who reaches only Python's index shall know before all else was fetched.
    assert npm.paths()[0] == "/npm/@own%2Fmore"


def test_where_npms_index_is_out_of_reach_the_stand_in_is_installed_and_said_so(without_npm, heard) -> None:
    folder = store.ensure("larger", progress=heard)
    assert folder.name.startswith("tiny-")
    said = heard.lines.index("tiny serves in the stead of larger; to try again: likeness packs install")
    assert "own-more-1.0.0.tgz" in heard.lines[said - 1]
    # Nothing was fetched twice, and from now on nothing is asked for.
    assert len(without_npm.paths()) == 4
    without_npm.requests.clear()
    assert store.ensure("larger") == store.found("larger") == folder
    assert packs.load("larger", threads=1).manifest.name == "tiny"
    assert packs.is_at_hand("larger")
    assert without_npm.requests == []


def test_what_two_packs_share_is_fetched_once(npm: FakeIndex) -> None:
    small = store.install("tiny")
    npm.requests.clear()
    folder = store.install("larger")
    assert npm.paths() == ["/npm/@own%2Fmore", "/files/own-more-1.0.0.tgz"]
    assert (folder / "b.onnx").samefile(small / "b.onnx")


def test_the_pack_itself_serves_once_it_is_there(without_npm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert packs.load("larger", threads=1).manifest.name == "tiny"
    monkeypatch.setattr(installation, "read_npm_settings", lambda: NpmSettings(registry=f"{without_npm.url}/npm"))
    store.install("larger")
    assert packs.load("larger", threads=1).manifest.name == "larger"
    assert not list(home.glob("packs/*.absent"))


def test_who_removes_a_pack_forgets_that_it_could_not_be_had(without_npm, home: Path) -> None:
    store.ensure("larger")
    store.remove("larger")
    assert store.found("larger") is None
    assert store.found("tiny") is not None


def test_a_stand_in_that_was_installed_for_its_own_sake_does_not_stand_in(npm) -> None:
    store.install("tiny")
    assert store.found("larger") is None
    assert packs.load("larger", threads=1).manifest.name == "larger"


def test_who_asks_for_a_pack_by_its_name_gets_it_or_an_error(without_npm) -> None:
    with pytest.raises(PackDownloadFailed, match=r"own-more-1\.0\.0\.tgz"):
        store.install("larger")
    assert store.found("larger") is None


def test_without_both_indexes_the_second_error_is_told(without_npm, tiny: TinyPack) -> None:
    for name in tiny.files:
        del without_npm.files[name]
    with pytest.raises(PackDownloadFailed, match=tiny.wheel_name):
        store.ensure("larger")


def test_offline_the_stand_in_serves_only_where_it_did_before(without_npm, monkeypatch: pytest.MonkeyPatch) -> None:
    store.install("tiny")
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    with pytest.raises(PackNotInstalled, match="larger"):
        store.ensure("larger")
    monkeypatch.delenv("LIKENESS_OFFLINE")
    store.ensure("larger")
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    assert store.ensure("larger").name.startswith("tiny-")


def test_the_command_without_names_installs_what_can_be_had(
    without_npm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("likeness.cli.packs.DEFAULT", "larger")
    assert main(["install"]) == 0
    assert "tiny serves in the stead of larger" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert "tiny serves" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(PackDownloadFailed):
        main(["install", "larger"])
