"""A pack with files from npm, and the error if that index is out of reach."""

from pathlib import Path

import pytest

from likeness import packs
from likeness.errors import PackDownloadFailed
from likeness.packs import installation, store

from .conftest import FakeIndex, TinyPack, sdist, sha256, tiny_network

MORE = """
[distributions.more]
index = "npm"
project = "@own/more"
version = "1.0.0"
file = "own-more-1.0.0.tgz"
sha256 = "{tgz_sha}"
size = {tgz_size}

[files."c.onnx"]
sha256 = "{c_sha}"
licence = "MIT"

[files."c.onnx".source]
distribution = "more"
path = "package/c.onnx"
sha256 = "{c_sha}"
"""


@pytest.fixture
def npm(tiny_index: FakeIndex, tiny_catalogue: Path, tiny: TinyPack) -> FakeIndex:
    """The fake index with the package of the pack `larger` too, which is `tiny` and one file more; npm is at /npm."""
    c = tiny_network(4.0)
    package = sdist({"package/c.onnx": c})
    tiny_index.files["own-more-1.0.0.tgz"] = package
    more = MORE.format(tgz_sha=sha256(package), tgz_size=len(package), c_sha=sha256(c))
    (tiny_catalogue / "larger.toml").write_text(tiny.entry.replace('name = "tiny"', 'name = "larger"') + more)
    return tiny_index


def test_the_pack_is_installed_whole(npm: FakeIndex, tiny: TinyPack) -> None:
    pack = packs.load("larger", threads=1)
    folder = pack.manifest.folder
    assert folder is not None
    assert pack.manifest.name == "larger"
    assert {path.name for path in folder.iterdir()} == {"a.onnx", "b.onnx", "c.onnx", "manifest.toml"}
    assert (folder / "a.onnx").read_bytes() == tiny.a
    assert store.damages(folder) == []


def test_a_file_of_two_packs_is_fetched_once(npm: FakeIndex) -> None:
    small = installation.install("tiny")
    npm.requests.clear()
    folder = installation.install("larger")
    assert npm.paths() == ["/npm/@own/more/-/more-1.0.0.tgz"]
    assert (folder / "b.onnx").samefile(small / "b.onnx")


def test_an_index_out_of_reach_is_an_error_that_names_what_can_be_done(
    npm: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setattr("likeness.packs.download.pause", lambda _: None)
    with pytest.raises(PackDownloadFailed) as failure:
        installation.ensure("larger")
    said = str(failure.value)
    for word in ("own-more-1.0.0.tgz", "npm config set registry", "--from DIR", "a pack of your own"):
        assert word in said
    assert not store.is_installed(store.known("larger"))
