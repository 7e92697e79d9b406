"""npm's configuration is read as npm reads it, and tokens are sent only to their registry."""

from pathlib import Path

import pytest

from likeness.packs.download import Access
from likeness.packs.manifest import Distribution
from likeness.packs.npm_registry import DEFAULT_REGISTRY, npm_address

NPMRC = """
# a comment
; another
registry = https://mirror.example/npm/
@own:registry="https://own.example/packages/"
//own.example/packages/:_authToken=${OWN_TOKEN}
//mirror.example/:_auth = bWU6c2VjcmV0
//mirror.example/npm/deep/:_authToken = deeper
https-proxy=http://proxy.example:3128
cafile=/etc/ca.pem
not a setting
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "npmrc"
    path.write_text(NPMRC)
    return {"NPM_CONFIG_USERCONFIG": str(path), "OWN_TOKEN": "abc"}


def address(project: str, environment: dict[str, str]) -> tuple[str, str]:
    url, access = npm_address(Distribution("id", project, "1.2", "file.tgz", "", 1), environment)
    return url, access.authorization


def test_without_any_configuration_it_is_npms_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert address("@any/thing", {}) == (f"{DEFAULT_REGISTRY}/@any/thing/-/thing-1.2.tgz", "")
    (tmp_path / ".npmrc").write_text("registry=http://at.home/")
    assert address("plain", {}) == ("http://at.home/plain/-/plain-1.2.tgz", "")


def test_a_file_its_scopes_and_tokens(environment: dict[str, str]) -> None:
    assert address("plain", environment) == ("https://mirror.example/npm/plain/-/plain-1.2.tgz", "Basic bWU6c2VjcmV0")
    assert address("@other/thing", environment)[0] == "https://mirror.example/npm/@other/thing/-/thing-1.2.tgz"
    assert address("deep", environment)[1] == "Bearer deeper"
    assert address("@own/thing", environment) == (
        "https://own.example/packages/@own/thing/-/thing-1.2.tgz",
        "Bearer abc",
    )
    for elsewhere in ("https://own.example/other", "https://own.example.org/packages", "https://example/packages/"):
        assert address("thing", {**environment, "npm_config_registry": elsewhere})[1] == ""


def test_proxy_and_certificates(environment: dict[str, str]) -> None:
    _, access = npm_address(Distribution("id", "thing", "1.2", "file.tgz", "", 1), environment)
    assert (access.proxy, access.ca_file) == ("http://proxy.example:3128", "/etc/ca.pem")
    assert "secret" not in repr(Access(authorization="secret"))


@pytest.mark.parametrize("name", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_variables_win(environment: dict[str, str], name: str) -> None:
    assert address("thing", {**environment, name: "https://chosen.example/"})[0].startswith("https://chosen.example/th")


def test_a_file_that_cannot_be_read_and_a_variable_that_is_not_set(tmp_path: Path) -> None:
    assert address("thing", {"npm_config_userconfig": str(tmp_path)})[0].startswith(DEFAULT_REGISTRY)
    path = tmp_path / "npmrc"
    path.write_text("registry=https://${NOWHERE}/")
    assert address("thing", {"npm_config_userconfig": str(path)})[0].startswith("https://${NOWHERE}/")


def test_the_users_file_wins_over_the_machines(environment: dict[str, str], tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    machine.write_text("registry=https://machine.example\n@theirs:registry=https://theirs.example\n")
    both = {**environment, "npm_config_globalconfig": str(machine)}
    assert address("plain", both)[0].startswith("https://mirror.example/npm/")
    assert address("@theirs/thing", both)[0].startswith("https://theirs.example/")
