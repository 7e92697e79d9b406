"""Where npm's packages come from is read as npm reads it, and its tokens go to their own place only."""

from pathlib import Path

import pytest

from likeness.packs.npm_settings import DEFAULT_REGISTRY, NpmSettings, read_npm_settings

NPMRC = """
# a comment
; another
registry = https://mirror.example/npm/
@own:registry="https://own.example/packages/"
//own.example/packages/:_authToken=${OWN_TOKEN}
//mirror.example/:_auth = bWU6c2VjcmV0
//mirror.example/npm/:_authToken = deeper
not a setting
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "npmrc"
    path.write_text(NPMRC)
    return {"NPM_CONFIG_USERCONFIG": str(path), "OWN_TOKEN": "abc"}


def test_without_any_configuration_it_is_npms_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_npm_settings({}) == NpmSettings()
    assert read_npm_settings({}).registry_of("@any/thing") == DEFAULT_REGISTRY


def test_the_users_file_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".npmrc").write_text("registry=http://at.home/")
    assert read_npm_settings({}).registry == "http://at.home"


def test_a_file_its_scopes_and_tokens(environment: dict[str, str]) -> None:
    settings = read_npm_settings(environment)
    assert settings.registry_of("plain") == settings.registry_of("@other/thing") == "https://mirror.example/npm"
    assert settings.registry_of("@own/thing") == "https://own.example/packages"
    assert settings.authorization_for("https://own.example/packages/thing") == "Bearer abc"
    assert settings.authorization_for("https://mirror.example/x") == "Basic bWU6c2VjcmV0"
    assert settings.authorization_for("https://mirror.example/npm/x") == "Bearer deeper"
    for elsewhere in ("https://own.example/other", "https://own.example.org/packages/x", "https://example/packages/"):
        assert settings.authorization_for(elsewhere) == ""
    assert "abc" not in repr(settings)


@pytest.mark.parametrize("name", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_variables_win(environment: dict[str, str], name: str) -> None:
    assert read_npm_settings({**environment, name: "https://chosen.example/"}).registry == "https://chosen.example"


def test_a_file_that_cannot_be_read_and_a_variable_that_is_not_set(tmp_path: Path) -> None:
    assert read_npm_settings({"npm_config_userconfig": str(tmp_path)}) == NpmSettings()
    path = tmp_path / "npmrc"
    path.write_text("registry=https://${NOWHERE}/")
    assert read_npm_settings({"npm_config_userconfig": str(path)}).registry == "https://${NOWHERE}"


def test_the_users_file_wins_over_the_machines(environment: dict[str, str], tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    machine.write_text("registry=https://machine.example\n@theirs:registry=https://theirs.example\n")
    settings = read_npm_settings({**environment, "npm_config_globalconfig": str(machine)})
    assert settings.registry_of("plain") == "https://mirror.example/npm"
    assert settings.registry_of("@theirs/thing") == "https://theirs.example"
