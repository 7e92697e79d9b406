"""Distribution files are found on indexes of both kinds, in folders, and nowhere else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from likeness.errors import PackDownloadFailed
from likeness.packs.index import locate, normalised, parse_page
from likeness.packs.manifest import Distribution
from likeness.packs.npm_settings import NpmSettings
from likeness.packs.web import Web


def places(distribution, settings) -> list[str | Path]:
    return list(locate(distribution, Web(settings)))


@pytest.mark.parametrize("json", [True, False], ids=["PEP 691", "PEP 503"])
@pytest.mark.parametrize("with_hashes", [True, False])
def test_both_forms_of_the_simple_api(index, tiny, big, settings, json: bool, with_hashes: bool) -> None:
    index.files, index.json, index.with_hashes = dict(tiny.files), json, with_hashes
    assert places(big, settings) == [f"{index.url}/files/{big.file}"]
    path, headers = index.requests[0]
    assert path == "/simple/big/"
    assert "application/vnd.pypi.simple.v1+json" in headers["accept"]
    assert "text/html" in headers["accept"]


def test_a_base_address_in_the_page_counts(index, tiny, big, settings) -> None:
    index.files, index.json, index.base = dict(tiny.files), False, "https://elsewhere.example/x/"
    assert places(big, settings) == [f"https://elsewhere.example/x/{big.file}"]


@pytest.mark.parametrize("name", ["Small.Net", "small_net", "small-net", "small--net"])
def test_names_are_normalised_as_pep_503_says(name: str) -> None:
    assert normalised(name) == "small-net"


def test_a_file_with_another_hash_is_not_taken(index, tiny, big, settings) -> None:
    index.files = {big.file: b"something else"}
    with pytest.raises(PackDownloadFailed, match=r"big-2.0.tar.gz .*another SHA-256.*--from DIR"):
        places(big, settings)


def test_a_version_that_is_not_there_is_named_with_the_remedy(index, big, settings) -> None:
    index.files = {"big-1.0.tar.gz": b"old"}
    with pytest.raises(
        PackDownloadFailed, match=r"big-2.0.tar.gz \(big==2.0\) was not found.*does not have it.*--from DIR"
    ):
        places(big, settings)


def test_a_project_that_is_not_there(index, big, settings) -> None:
    with pytest.raises(PackDownloadFailed, match=r"answers 404"):
        places(big, settings)


def test_the_second_index_is_asked_when_the_first_does_not_have_it(serve_index, tiny, big, settings) -> None:
    first, second = serve_index(), serve_index()
    second.files = dict(tiny.files)
    both = replace(settings, indexes=(f"{first.url}/simple", f"{second.url}/simple"))
    assert places(big, both) == [f"{second.url}/files/{big.file}"]


def test_the_second_index_is_not_asked_before_the_first_has_failed(serve_index, tiny, big, settings) -> None:
    first, second = serve_index(), serve_index()
    first.files = second.files = dict(tiny.files)
    both = replace(settings, indexes=(f"{first.url}/simple", f"{second.url}/simple"))
    assert next(locate(big, Web(both))) == f"{first.url}/files/{big.file}"
    assert second.requests == []


def test_folders_of_find_links_come_first_and_missing_ones_are_silent(
    index, tiny, big, settings, tmp_path: Path
) -> None:
    (tmp_path / big.file).write_bytes(tiny.files[big.file])
    with_folder = replace(settings, find_links=("/nonexistent/wheels", str(tmp_path), tmp_path.as_uri()))
    assert next(locate(big, Web(with_folder))) == tmp_path / big.file
    assert index.requests == []


def test_an_index_in_a_folder(tiny, big, settings, tmp_path: Path) -> None:
    project = tmp_path / "simple" / "big"
    project.mkdir(parents=True)
    (tmp_path / big.file).write_bytes(tiny.files[big.file])
    (project / "index.html").write_text(f'<a href="../../{big.file}">{big.file}</a>')
    local = replace(settings, indexes=("file:///nonexistent/simple", (tmp_path / "simple").as_uri()))
    assert places(big, local) == [tmp_path / big.file]


def test_no_index_says_so(big, settings) -> None:
    with pytest.raises(PackDownloadFailed, match="no-index"):
        places(big, replace(settings, indexes=()))


@pytest.mark.parametrize("body", [b"<html>", b'{"files": 3}', b'{"files": [{"url": "x"}]}', b"[]", b"\xff"])
def test_json_that_is_none_is_an_error_of_the_index(body: bytes) -> None:
    with pytest.raises(PackDownloadFailed, match="does not answer like a package index"):
        parse_page(body, "application/vnd.pypi.simple.v1+json", "http://x/")


def test_html_that_is_no_index_has_no_links() -> None:
    assert parse_page(b"<a>no address</a><a href=''>x</a> \xff <", "text/html", "http://x/") == []


@pytest.fixture
def scoped() -> Distribution:
    """A release of a package on npm's index."""
    content = b"a package of npm's"
    sha256 = hashlib.sha256(content).hexdigest()
    return Distribution("scoped", "@own/thing", "1.2.3", "own-thing-1.2.3.tgz", sha256, len(content), "npm")


def on_npm(distribution, settings, url: str) -> list[str | Path]:
    return list(locate(distribution, Web(settings, NpmSettings(registry=f"{url}/npm"))))


def test_npms_index_is_asked_in_its_own_way(index, scoped, settings) -> None:
    index.files = {scoped.file: b"a package of npm's"}
    assert on_npm(scoped, settings, index.url) == [f"{index.url}/files/{scoped.file}"]
    ((path, headers),) = index.requests
    assert path == "/npm/@own%2Fthing"
    assert headers["accept"].startswith("application/vnd.npm.install-v1+json")


def test_a_folder_of_find_links_comes_before_npms_index(index, scoped, settings, tmp_path: Path) -> None:
    (tmp_path / scoped.file).write_bytes(b"a package of npm's")
    with_folder = replace(settings, find_links=(str(tmp_path),))
    found = locate(scoped, Web(with_folder, NpmSettings(registry=f"{index.url}/npm")))
    assert next(found) == tmp_path / scoped.file
    assert index.requests == []


@pytest.mark.parametrize(("files", "reason"), [({}, "answers 404"), ({"own-thing-1.2.4.tgz": b""}, "does not have it")])
def test_what_npms_index_does_not_have_is_named_with_the_remedy(index, scoped, settings, files, reason: str) -> None:
    index.files = files
    with pytest.raises(PackDownloadFailed, match=rf"\(@own/thing@1.2.3\) .* npm's index: .*{reason}.*--from DIR"):
        on_npm(scoped, settings, index.url)


def test_no_index_means_npms_too(index, scoped, settings) -> None:
    with pytest.raises(PackDownloadFailed, match="no-index"):
        on_npm(scoped, replace(settings, indexes=()), index.url)
    assert index.requests == []


def test_what_is_no_metadata_of_npms_is_an_error_of_the_index(
    index, scoped, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in (b"<html>", b"[]", b'{"versions": 3}', b'{"versions": {"1.2.3": {}}}'):
        monkeypatch.setattr(Web, "read_page", lambda *_, body=body, **__: (200, "application/json", "http://x/", body))
        with pytest.raises(PackDownloadFailed, match="does not answer like npm's index"):
            on_npm(scoped, settings, index.url)
