"""pip's configuration, wherever the user wrote it."""

import os
import sys
from pathlib import Path

import pytest

from likeness.errors import PackDownloadFailed
from likeness.packs import pip_settings
from likeness.packs.pip_settings import DEFAULT_INDEX, read_pip_settings


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    kept.pop("REQUESTS_CA_BUNDLE", None)
    kept.pop("CURL_CA_BUNDLE", None)
    return {**kept, "PIP_CONFIG_FILE": os.devnull, **more}


def test_without_any_configuration_it_is_pips_default() -> None:
    settings = read_pip_settings(clean_environment())
    assert settings.indexes == (DEFAULT_INDEX,)
    assert (settings.timeout_s, settings.retries, settings.proxy, settings.find_links) == (15.0, 5, "", ())


def test_a_configuration_file_is_read_and_variables_win(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\n"
        "index-url = https://user:secret@mirror.example/simple/\n"
        "extra-index-url =\n    https://second.example/simple\n    file:///opt/none/simple\n"
        "find-links = /opt/wheels\ntimeout = 40\nretries = 1\ntrusted-host = mirror.example\n"
        "cert = /etc/ca.pem\nclient-cert = /etc/me.pem\nproxy = http://proxy.example:3128\n"
        "[download]\ntimeout = 50\n"
    )
    settings = read_pip_settings(clean_environment(PIP_CONFIG_FILE=str(file), PIP_RETRIES="3"))
    assert settings.indexes == (
        "https://user:secret@mirror.example/simple",
        "https://second.example/simple",
        "file:///opt/none/simple",
    )
    assert settings.find_links == ("/opt/wheels",)
    assert (settings.timeout_s, settings.retries) == (50.0, 3)
    assert settings.trusted_hosts == ("mirror.example",)
    assert (settings.ca_file, settings.client_certificate) == ("/etc/ca.pem", "/etc/me.pem")
    assert settings.proxy == "http://proxy.example:3128"


def test_variables_alone() -> None:
    settings = read_pip_settings(
        clean_environment(PIP_INDEX_URL="http://a/simple", PIP_DEFAULT_TIMEOUT="7", REQUESTS_CA_BUNDLE="/ca.pem")
    )
    assert (settings.indexes, settings.timeout_s, settings.ca_file) == (("http://a/simple",), 7.0, "/ca.pem")


def test_no_index_leaves_only_the_folders() -> None:
    settings = read_pip_settings(clean_environment(PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels"))
    assert (settings.indexes, settings.find_links) == ((), ("/wheels",))


def test_a_python_without_pip_still_reads_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    settings = read_pip_settings({"PIP_INDEX_URL": "http://a/simple", "PIP_TIMEOUT": "3"})
    assert (settings.indexes, settings.timeout_s) == (("http://a/simple",), 3.0)


def test_a_file_named_pip_in_the_working_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    assert pip_settings._pip_config_list(clean_environment()) is not None


def test_a_number_that_is_none_is_named() -> None:
    with pytest.raises(PackDownloadFailed, match=r"timeout is 'soon', which is not a number.*pip config list"):
        read_pip_settings({"PIP_TIMEOUT": "soon"} | {"PIP_CONFIG_FILE": os.devnull})
