"""Wheels come through pip, by hash and for any platform; source distributions are found and never run."""

from pathlib import Path

import pytest

from likeness.errors import PackDamaged, PackDownloadFailed
from likeness.packs import installation
from likeness.packs.manifest import Distribution
from likeness.packs.python_index import fetching_wheels, sdist_address

from .conftest import sha256, wheel


def pinned(file: str, content: bytes) -> Distribution:
    project, version = file.split("-")[:2]
    return Distribution(project, project, version, file, sha256(content), len(content))


def fetched(distribution: Distribution, folder: Path) -> bytes:
    with fetching_wheels([distribution], folder):
        pass
    return (folder / distribution.file).read_bytes()


@pytest.mark.parametrize(
    "tags",
    ["py3-none-any", "cp39-cp39-win_amd64", "cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64"],
)
def test_a_wheel_for_any_platform_comes_through_pip(configured, tmp_path: Path, tags: str) -> None:
    file = f"net-1.5-{tags}.whl"
    content = wheel(file, {"net/weights": b"data"})
    configured.files = {file: content, "net-1.5-py2-none-any.whl": wheel("net-1.5-py2-none-any.whl", {})}
    assert fetched(pinned(file, content), tmp_path) == content


def test_several_wheels_in_one_call(configured, tmp_path: Path) -> None:
    files = ("one-1.0-cp310-cp310-manylinux_2_17_x86_64.whl", "two-2.0-py3-none-any.whl")
    configured.files = {file: wheel(file, {}) for file in files}
    with fetching_wheels([pinned(file, content) for file, content in configured.files.items()], tmp_path):
        pass
    assert all((tmp_path / file).read_bytes() == content for file, content in configured.files.items())


def test_pips_configuration_counts(serve_index, configured, tmp_path: Path, monkeypatch) -> None:
    file = "net-1.5-py3-none-any.whl"
    content = wheel(file, {})
    mirror = serve_index()
    mirror.files, mirror.credentials = {file: content}, "me:secret"
    configuration = tmp_path / "pip.conf"
    address = mirror.url.replace("http://", "http://me:secret@")
    configuration.write_text(f"[global]\nindex-url = {address}/simple\n")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    assert fetched(pinned(file, content), tmp_path / "folder") == content
    assert configured.requests == []


def test_another_file_of_that_name_is_refused(configured, tmp_path: Path) -> None:
    file = "net-1.5-py3-none-any.whl"
    configured.files = {file: wheel(file, {"net/weights": b"other"})}
    with pytest.raises((PackDownloadFailed, PackDamaged), match=r"pip: .*|SHA-256"):
        fetched(pinned(file, b"published"), tmp_path)
    assert not (tmp_path / file).exists()


def test_the_error_contains_pips_message(configured, tmp_path: Path) -> None:
    with pytest.raises(PackDownloadFailed, match=r"pip: No matching distribution found for net==1.5"):
        fetched(pinned("net-1.5-py3-none-any.whl", b""), tmp_path)


def test_without_pip_the_remedy_is_given_before_any_download(tiny_index, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("likeness.packs.python_index.find_spec", lambda _: None)
    with pytest.raises(PackDownloadFailed, match=r"has no pip, .*ensurepip.*uv pip install pip.*--from DIR"):
        installation.install("tiny")
    assert tiny_index.requests == []


def test_a_failure_beside_it_ends_pip(configured, tmp_path: Path) -> None:
    configured.hang_s = 30.0
    with pytest.raises(KeyboardInterrupt), fetching_wheels([pinned("net-1.5-py3-none-any.whl", b"")], tmp_path):
        raise KeyboardInterrupt


def test_a_file_named_pip_in_the_working_folder_is_not_run(configured, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('a file of the working folder was executed')")
    monkeypatch.chdir(tmp_path)
    file = "net-1.5-py3-none-any.whl"
    content = wheel(file, {})
    configured.files = {file: content}
    assert fetched(pinned(file, content), tmp_path / "folder") == content


@pytest.mark.parametrize("json", [True, False], ids=["PEP 691", "PEP 503"])
def test_a_source_distribution_is_found_on_the_page_of_its_project(configured, tiny, big, json: bool) -> None:
    configured.files, configured.json = dict(tiny.files), json
    url, access = sdist_address(big)
    assert url == f"{configured.url}/files/{big.file}"
    assert access.proxy == ""


def test_the_next_index_is_asked_and_local_ones_are_passed_over(
    serve_index, configured, tiny, big, tmp_path: Path, monkeypatch
) -> None:
    second = serve_index()
    second.files = dict(tiny.files)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{tmp_path}/simple {second.url}/simple")
    assert sdist_address(big)[0] == f"{second.url}/files/{big.file}"


def test_the_proxy_and_certificates_of_pips_configuration(configured, tiny, big, monkeypatch, tmp_path) -> None:
    configured.files = dict(tiny.files)
    monkeypatch.setenv("PIP_PROXY", configured.url)
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.example/simple")
    assert sdist_address(big)[1].proxy == configured.url
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "none.pem"))
    with pytest.raises(PackDownloadFailed, match=r"none\.pem"):
        sdist_address(big)


def test_a_source_distribution_that_is_nowhere(configured, big) -> None:
    with pytest.raises(PackDownloadFailed, match=r"big-2.0.tar.gz is not on the indexes .*answers 404"):
        sdist_address(big)
    configured.files = {"big-1.0.tar.gz": b"old"}
    with pytest.raises(PackDownloadFailed, match=r"big exists without this file"):
        sdist_address(big)
