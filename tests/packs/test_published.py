"""Packs from their publishers: fetched only when asked for, with their licences shown and restrictions accepted."""

import re
from pathlib import Path

import pytest
from tests.packs.convert.ir_writer import small

from likeness import packs
from likeness.cli.main import main
from likeness.errors import LicenceNotAccepted, PackDamaged, PackDownloadFailed, PackInvalid, PackNotInstalled
from likeness.packs import installation, store
from likeness.packs.download import Access, size_of
from likeness.packs.manifest import parse_manifest

from .conftest import FakeIndex, sha256, tiny_network, wheel

PACK = """
[pack]
name = "known"
version = "1"
restriction = "for research only"

[distributions.plain]
index = "web"
project = "plain"
version = "1"
file = "plain-1.onnx"
url = "{url}/files/plain-1.onnx"
sha256 = "{a_sha}"
size = 0

[distributions.packed]
index = "web"
project = "packed"
version = "2"
file = "packed-2.zip"
url = "{url}/files/packed-2.zip"
sha256 = "{zip_sha}"
size = {zip_size}

[files."a.onnx"]
sha256 = "{a_sha}"
licence = "Research licence"
licence_url = "https://example.org/licence"
terms = "For research only."
origin = "a publisher"

[files."a.onnx".source]
distribution = "plain"
sha256 = "{a_sha}"

[files."b.onnx"]
sha256 = "{b_sha}"
licence = "MIT"

[files."b.onnx".source]
distribution = "packed"
path = "models/b.onnx"
sha256 = "{b_sha}"

[roles.detector]
file = "a.onnx"
family = "scrfd"

[roles.embedder]
file = "b.onnx"
family = "arcface"
size_px = 32
mean = [0.0, 0.0, 0.0]
scale = 1.0
template = [[8, 8], [24, 8], [16, 16], [10, 24], [22, 24]]
"""


@pytest.fixture
def publisher(index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """A publisher's server with the files of the pack `known`, which is all of the catalogue."""
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LIKENESS_OFFLINE", raising=False)
    a, b = tiny_network(2.0), tiny_network(3.0)
    archive = wheel("packed-2-py3-none-any.whl", {"models/b.onnx": b})
    index.files = {"plain-1.onnx": a, "packed-2.zip": archive}
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    hashes = {"a_sha": sha256(a), "b_sha": sha256(b), "zip_sha": sha256(archive), "zip_size": len(archive)}
    (catalogue / "known.toml").write_text(PACK.format(url=index.url, **hashes))
    monkeypatch.setattr(store, "CATALOGUE", catalogue)
    return index


def test_a_comparison_fetches_nothing_from_publishers(publisher: FakeIndex) -> None:
    with pytest.raises(PackNotInstalled, match="likeness packs install known"):
        packs.load("known")
    assert publisher.requests == []


def test_a_restriction_is_accepted_first_and_once(publisher: FakeIndex) -> None:
    with pytest.raises(LicenceNotAccepted, match=r"for research only.*--accept-license"):
        installation.install("known")
    assert publisher.requests == []
    folder = installation.install("known", accept_license=True)
    assert sorted(path.name for path in folder.iterdir()) == ["a.onnx", "b.onnx", "manifest.toml"]
    assert store.damages(folder) == []
    assert installation.install("known") == folder
    assert packs.load("known").manifest.calibration is None


def test_the_command_shows_the_licences_and_names_calibrate_next(
    publisher: FakeIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["packs", "install", "known"]) == 255
    printed = capsys.readouterr()
    assert "Research licence https://example.org/licence" in printed.out
    assert "restricted: for research only" in printed.out
    assert "--accept-license" in printed.err
    assert publisher.requests == []
    assert main(["packs", "install", "known", "--from", "a folder"]) == 255
    assert "likeness packs install known --from 'a folder' --accept-license" in capsys.readouterr().err
    assert main(["packs", "install", "known", "--accept-license"]) == 0
    printed = capsys.readouterr()
    assert "known is not calibrated" in printed.out
    assert " ./known && likeness calibrate PEOPLE.csv --within group,sex --pack ./known --into ./known" in printed.out
    assert main(["packs", "show", "known"]) == 0
    assert "not calibrated" in capsys.readouterr().out


def test_a_restriction_is_asked_about_before_any_pack_is_installed(
    publisher: FakeIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = (tmp_path / "catalogue" / "known.toml").read_text("utf-8")
    free = known.replace('name = "known"', 'name = "free"').replace('restriction = "for research only"\n', "")
    (tmp_path / "catalogue" / "free.toml").write_text(free, "utf-8")
    assert main(["packs", "install", "free", "known"]) == 255
    assert "likeness packs install free known --accept-license" in capsys.readouterr().err
    assert publisher.requests == []


def test_another_file_at_the_address_is_refused(publisher: FakeIndex) -> None:
    publisher.files["plain-1.onnx"] = tiny_network(5.0)
    with pytest.raises(PackDamaged, match="not the published file"):
        installation.install("known", accept_license=True)


def test_a_publisher_without_the_file_is_an_error_without_a_mirror(publisher: FakeIndex) -> None:
    plain = publisher.files.pop("plain-1.onnx")
    with pytest.raises(PackDownloadFailed, match=r"plain-1.onnx cannot be fetched: .*404"):
        installation.install("known", accept_license=True)
    publisher.files = {"plain-1.onnx": plain}
    with pytest.raises(PackDownloadFailed, match=r"packed-2.zip cannot be fetched: .*404.*Check the network, put the"):
        installation.install("known", accept_license=True)


def test_the_size_of_a_file_is_asked_for_without_showing_a_password(publisher: FakeIndex) -> None:
    address = publisher.url.replace("http://", "http://me:secret@")
    assert size_of(f"{address}/files/plain-1.onnx", Access()) == len(publisher.files["plain-1.onnx"])
    with pytest.raises(PackDownloadFailed, match="the server answers 404") as refused:
        size_of(f"{address}/missing?key=hidden", Access())
    assert not {"secret", "hidden"} & set(re.split(r"\W", str(refused.value)))


def test_files_in_a_folder_need_no_network(publisher: FakeIndex, tmp_path: Path) -> None:
    for name, content in publisher.files.items():
        (tmp_path / name).write_bytes(content)
    folder = installation.install("known", source_dir=tmp_path, accept_license=True)
    assert store.damages(folder) == []
    assert publisher.requests == []


IR = """
[distributions.plain]
index = "web"
project = "plain"
version = "1"
file = "plain.xml"
url = "{url}/files/plain.xml"
sha256 = "{a_sha}"
size = 0

[distributions.weights]
index = "web"
project = "plain"
version = "1"
file = "plain.bin"
url = "{url}/files/plain.bin"
sha256 = "{bin_sha}"
size = {bin_size}
"""


def test_a_graph_and_its_weights_are_fetched_as_two_files_and_converted(publisher: FakeIndex, tmp_path: Path) -> None:
    ir = small()
    publisher.files |= {"plain.xml": ir.xml, "plain.bin": ir.weights}
    start, end = PACK.index("[distributions.plain]"), PACK.index("[distributions.packed]")
    text = (PACK[:start] + IR + PACK[end:]).replace('[files."a.onnx"]\nsha256 = "{a_sha}"\n', '[files."a.onnx"]\n')
    text = text.replace(
        'distribution = "plain"', 'distribution = "plain"\nweights = "weights"\nconverter = "openvino-ir"'
    )
    packed = publisher.files["packed-2.zip"]
    known = tmp_path / "catalogue" / "known.toml"
    hashes = {"a_sha": sha256(ir.xml), "bin_sha": sha256(ir.weights), "b_sha": sha256(tiny_network(3.0))}
    sizes = {"bin_size": len(ir.weights), "zip_size": len(packed)}
    known.write_text(text.format(url=publisher.url, zip_sha=sha256(packed), **hashes, **sizes))
    (tmp_path / "plain.xml").write_bytes(ir.xml)
    (tmp_path / "packed-2.zip").write_bytes(packed)
    with pytest.raises(PackNotInstalled, match=r"lacks plain\.bin; --from takes exactly these files"):
        installation.install("known", source_dir=tmp_path, accept_license=True)
    folder = installation.install("known", accept_license=True)
    assert (folder / "a.onnx").read_bytes() == ir.converted()
    assert store.damages(folder) == []
    assert packs.load("known").network("detector").input_shapes == [["N", 4, 8, 8]]


@pytest.mark.parametrize(
    ("old", "new"),
    [('index = "web"\nproject = "plain"', 'project = "plain"'), ('url = "{url}/files/plain-1.onnx"\n', "")],
)
def test_an_address_belongs_to_the_web_only(old: str, new: str) -> None:
    text = PACK.replace(old, new).format(url="http://x", a_sha="0" * 64, b_sha="1" * 64, zip_sha="2" * 64, zip_size=1)
    with pytest.raises(PackInvalid, match="has a url if its index is web"):
        parse_manifest(text.encode(), described_as="x.toml")


def test_known_packs_promise_nothing_that_was_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    published = [
        entry
        for entry in store.catalogue().values()
        if any(distribution.index == "web" for distribution in entry.distributions.values())
    ]
    assert {entry.name for entry in published} == {
        "opencv-zoo",
        "open-model-zoo",
        "insightface-buffalo-l",
        "insightface-buffalo-s",
        "adaface",
        "edgeface",
    }
    assert main(["packs", "show", "open-model-zoo"]) == 0
    shown = capsys.readouterr().out
    for distribution in store.known("open-model-zoo").distributions.values():
        assert distribution.url in shown
        assert distribution.sha256 in shown
    for entry in published:
        assert entry.calibration is None
        assert all(each.url.startswith("https://") for each in entry.distributions.values())
        assert bool(entry.restriction) == (entry.name not in ("opencv-zoo", "open-model-zoo"))
