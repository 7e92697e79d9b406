"""Settings: sources and precedence, refusals, and complete documentation."""

import argparse
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from likeness.cli import serve
from likeness.comparer import ComparerSettings
from likeness.errors import SettingsError
from likeness.server.configuration import (
    OTHER_VARIABLES,
    SETTINGS,
    Configuration,
    add_flags,
    configure,
    in_force,
    refuse_unknown_flags,
)
from likeness.server.settings import S3Settings, Settings, smallest_body_limit

REPOSITORY = Path(__file__).resolve().parents[2]

#: For every setting that one line can hold: a text that is not the default, and the value it stands for.
EXAMPLES: dict[str, tuple[str, Any]] = {
    "pack": ("other", "other"),
    "packs": ("a, b", ("a", "b")),
    "packs_memory_bytes": ("5", 5),
    "shadow": ("new", "new"),
    "uncalibrated": ("true", True),
    "device": ("auto", "auto"),
    "target_without_faces": ("empty", "empty"),
    "orientation_correction": ("estimate", "estimate"),
    "face_attributes": ("default", "default"),
    "search_rotations": ("false", False),
    "verbose_errors": ("true", True),
    "max_inline_bytes": ("100", 100),
    "max_s3_bytes": ("100", 100),
    "min_side_px": ("40", 40),
    "max_faces": ("10", 10),
    "max_pixels": ("1000000", 1_000_000),
    "max_decoding_seconds": ("0.5", 0.5),
    "isolate_decoding": ("true", True),
    "auth": ("none", "none"),
    "keys": ("k.json", Path("k.json")),
    "clock_skew_seconds": ("60", 60.0),
    "regions": ("eu-west-1, us-east-1", ("eu-west-1", "us-east-1")),
    "cors_origins": ("http://a,http://b", ("http://a", "http://b")),
    "rate_per_second": ("2.5", 2.5),
    "rate_burst": ("9", 9),
    "host": ("127.0.0.2", "127.0.0.2"),
    "port": ("0", 0),
    "unix_socket": ("/tmp/s", Path("/tmp/s")),
    "unix_socket_mode": ("600", "600"),
    "path_prefix": ("/a/b", "/a/b"),
    "trusted_proxies": ("10.0.0.0/8", ("10.0.0.0/8",)),
    "workers": ("1", 1),
    "threads": ("1", 1),
    "request_deadline_seconds": ("5", 5.0),
    "max_queue": ("0", 0),
    "max_body_bytes": ("20000000", 20_000_000),
    "body_memory_bytes": ("20000000", 20_000_000),
    "max_connections": ("10", 10),
    "header_timeout_seconds": ("1", 1.0),
    "body_timeout_seconds": ("1", 1.0),
    "pixel_memory_bytes": ("1000000", 1_000_000),
    "least_body_bytes_per_second": ("100", 100.0),
    "keep_alive_seconds": ("1", 1),
    "grace_seconds": ("1", 1.0),
    "reload_grace_seconds": ("90", 90.0),
    "access_log": ("a.jsonl", "a.jsonl"),
    "log_requests": ("errors", "errors"),
    "audit_log": ("-", "-"),
    "audit_when_full": ("refuse", "refuse"),
    "audit_region": ("eu-west-1", "eu-west-1"),
    "metrics": ("false", False),
    "console": ("true", True),
    "s3.enabled": ("false", False),
    "s3.endpoint_url": ("http://minio:9000", "http://minio:9000"),
    "s3.region": ("eu-west-1", "eu-west-1"),
    "s3.addressing": ("virtual", "virtual"),
    "s3.profile": ("default", "default"),
    "s3.session_token": ("t", "t"),
    "s3.anonymous": ("true", True),
    "s3.connect_timeout_seconds": ("1", 1.0),
    "s3.read_timeout_seconds": ("1", 1.0),
    "s3.attempts": ("1", 1),
}
#: Settings that need a file, a folder or one another; tested on their own.
OTHERS = {"tls_certificate", "tls_key", "s3.directory", "s3.ca_bundle", "s3.access_key_id", "s3.secret_access_key"}


def held(settings: Settings, name: str) -> Any:
    section, _, last = name.rpartition(".")
    return getattr(settings.s3 if section else settings, last)


def flags(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(words))


def from_file(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Configuration:
    path = tmp_path / "likeness.toml"
    path.write_text(text.replace("'likeness.toml'", f"'{path}'"))
    return configure({"config": str(path)}, environment or {})


def test_every_setting_is_tested() -> None:
    assert set(EXAMPLES) | OTHERS == {name for name, setting in SETTINGS.items() if not setting.file_only}


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS configuration files of which we know what is in them."""
    path = tmp_path / "aws"
    path.write_text("[default]\naws_access_key_id = x\naws_secret_access_key = y\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_setting_from_each_place(name: str, tmp_path: Path) -> None:
    text, value = EXAMPLES[name]
    setting = SETTINGS[name]
    section, _, last = name.rpartition(".")
    toml = f"[{section}]\n" if section else ""
    if isinstance(value, tuple):
        literal = "[" + ", ".join(f'"{part}"' for part in value) + "]"
    else:
        literal = f'"{text}"' if isinstance(value, (str, Path)) else text
    by_flag = f"{setting.flag}={text}"
    if isinstance(value, bool):
        by_flag = setting.flag if value else setting.flag.replace("--", "--no-", 1)
    for configuration in (
        configure({}, {setting.variable: text}),
        *([configure(flags(by_flag), {})] if setting.is_flag else []),
        from_file(tmp_path, f"{toml}{last} = {literal}"),
    ):
        assert held(configuration.settings, name) == value
        assert list(configuration.origins) == [name]


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    path = tmp_path / "likeness.toml"
    path.write_text("port = 1\nmax_faces = 2\nmax_queue = 3\n")
    environment = {"LIKENESS_CONFIG": str(path), "LIKENESS_PORT": "11", "LIKENESS_MAX_FACES": "12"}
    configuration = configure(flags("--port", "21"), environment)
    settings = configuration.settings
    assert (settings.port, settings.max_faces, settings.max_queue) == (21, 12, 3)
    assert configuration.origins == {
        "port": "--port",
        "max_faces": "LIKENESS_MAX_FACES",
        "max_queue": f"file {path}",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('keys = "a\\u0000b"', r"setting keys .*NUL"),
        ('access_log = "a\\u0000b"', r"setting access_log .*NUL"),
        ('[[s3.buckets]]\npattern = "x"\ndirectory = "a\\u0000b"', r"directory of \[\[s3\.buckets\]\]"),
        ("nonsense = 1", r"unknown setting nonsense in \S+\.toml$"),
        ("prot = 1", r"unknown setting prot in .*likeness\.toml; did you mean port\?"),
        ("[s3]\nendpoint = 'x'", r"unknown setting s3\.endpoint .*did you mean s3\.endpoint_url\?"),
        ("port = 70000", r"setting port 70000 .*<= 65535"),
        ("port = '8080'", r"setting port '8080' .*Expected `int`"),
        ("verbose_errors = 1", r"setting verbose_errors 1"),
        ("face_attributes = 'al'", r"setting face_attributes 'al' .*did you mean all\?"),
        (
            "device = 'nonsense'",
            r"setting device 'nonsense' .*: it must be one of cpu, cuda, auto, openvino, .*coreml$",
        ),
        ("path_prefix = 'faces/'", r"setting path_prefix"),
        ("port = ", r"is not TOML"),
        ("port = " + "1" * 5000, r"is not TOML"),
        ("port = " + "[" * 100_000, r"nested too deeply"),
        ("#" * (1024 * 1024 + 1), r"more than 1,048,576 bytes"),
        ("\ufeffprot = 1", r"unknown setting prot in "),
        ("s3 = 3", r"s3 in .* must be a section"),
        ("[[s3.buckets]]\nregion = 'x'", r"number 1 .*needs a pattern"),
        ("[[s3.buckets]]\npattern = 'x'\nregoin = 'x'", r"unknown setting regoin .*did you mean region\?"),
        ("[[s3.buckets]]\npattern = 'x'\nattempts = 0", r"attempts of \[\[s3\.buckets\]\] number 1"),
        ("[[s3.buckets]]\npattern = 'x'\ndirectory = '/nonexistent'", r"/nonexistent is not a folder"),
        ("[s3]\naccess_key_id = 'x'", r"go together"),
        ("[s3]\nprofile = 'no-such-profile'", r"profile 'no-such-profile' is not in"),
        ("keys = 'likeness.toml'", r"likeness\.toml"),
        ("[s3]\nendpoint_url = 'minio:9000'", r"must be an address"),
        ("[rates]\nAKIA = -1", r"setting rates"),
        ("[rates]\nAKIA = 1", r"authentication is off"),
        ("shadow = 'standard'", r"shadow = standard is the pack itself"),
        ("min_side_px = 20000", r"min_side_px = 20000 leaves no image .*; lower it"),
        ("max_body_bytes = 1000", r"max_body_bytes = 1000 cannot hold two images"),
        ("body_memory_bytes = 1000", r"body_memory_bytes = 1000 is less than one body .*; raise it"),
        ("threads = 100000", r"threads = 100000, but this process may use .*; use at most"),
        (
            "trusted_proxies = ['10.0.0.0/8', 'nginx']",
            r"trusted_proxies = 10\.0\.0\.0/8, nginx: each must be .*'nginx'",
        ),
        ("trusted_proxies = ['*', '10.0.0.1']", r"trusted_proxies = .*, or \* alone"),
        ("unix_socket = '/nonexistent/s'", r"there is no folder /nonexistent"),
        ("auth = 'sigv4'\nkeys = '/nonexistent'", r"no key file /nonexistent"),
        ("host = '192.0.2.1'\nkeys = '/nonexistent'", r"likeness keys create"),
    ],
)
def test_invalid_settings_are_refused_by_name(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        from_file(tmp_path, text)


def test_secrets_are_not_in_messages(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_file(tmp_path, "[s3]\nsecret_access_key = 12345678")
    assert "12345678" not in str(caught.value)


def test_an_address_holds_no_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="endpoint_url must hold no user and password") as caught:
        from_file(tmp_path, '[s3]\nendpoint_url = "http://me:hush@minio:9000"')
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("flag", ["--s3-secret-access-key", "--s3-session-token=hush"])
def test_secrets_are_no_flags(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main(["--check", flag, "hush"]) == 252
    said = capsys.readouterr().err
    assert "would show a secret to every user of the machine; set LIKENESS_S3_SE" in said
    assert "hush" not in said


def test_unknown_variables_are_refused_and_those_of_other_parts_are_not() -> None:
    with pytest.raises(
        SettingsError, match="unknown setting LIKENESS_PROT in the environment; did you mean LIKENESS_PORT"
    ):
        configure({}, {"LIKENESS_PROT": "1"})
    configure({}, dict.fromkeys(OTHER_VARIABLES, "") | {"PATH": "x"})


def test_every_variable_that_the_program_reads_is_known() -> None:
    known = OTHER_VARIABLES | {setting.variable for setting in SETTINGS.values()}
    read = {
        name
        for path in (REPOSITORY / "src").rglob("*.py")
        for name in re.findall(r"LIKENESS_[A-Z0-9_]*[A-Z0-9]", path.read_text())
    }
    # A prefix of known ones (LIKENESS_S3_) is one too.
    assert {name for name in read if not any(each == name or each.startswith(name + "_") for each in known)} == set()


def test_a_common_prefix_is_no_reason_for_a_suggestion() -> None:
    for name in ("LIKENESS_NONSENSE", "LIKENESS_NONE", "LIKENESS_HOSE_X"):
        with pytest.raises(SettingsError, match=rf"unknown setting {name} in the environment$"):
            configure({}, {name: "1"})


def test_unknown_flags_are_refused_with_a_suggestion() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    with pytest.raises(SettingsError, match=r"unknown setting --max-face .*did you mean --max-faces\?"):
        refuse_unknown_flags(["--max-face=3"], parser)
    refuse_unknown_flags([], parser)


def test_the_engine_gets_the_settings_of_the_server(tmp_path: Path) -> None:
    settings = from_file(tmp_path, "max_faces = 7\nface_attributes = 'default'\nmax_s3_bytes = 20_000_000").settings
    assert settings.comparer == ComparerSettings(max_faces=7, face_attributes="default", max_bytes=20_000_000)
    assert Settings().comparer == ComparerSettings()
    shared = {each.name for each in fields(ComparerSettings)} - {"max_bytes"}
    assert shared <= set(SETTINGS)


def test_buckets_inherit_settings_of_the_section(tmp_path: Path) -> None:
    text = "[s3]\nregion = 'eu-west-1'\nattempts = 5\n[[s3.buckets]]\npattern = 'a-*'\nregion = 'us-west-2'\n"
    first, rest = from_file(tmp_path, text).settings.stores()
    assert (first.pattern, first.region, first.attempts) == ("a-*", "us-west-2", 5)
    assert (rest.pattern, rest.region, rest.attempts) == ("*", "eu-west-1", 5)


def test_authentication_is_on_if_there_are_keys(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{}")
    with_keys = Settings(keys=tmp_path / "keys.json")
    without = Settings(keys=tmp_path / "none")
    assert (with_keys.signed, without.signed) == (True, False)
    assert (with_keys.cors, without.cors) == ((), ("*",))
    assert Settings(keys=tmp_path / "keys.json", auth="none").signed is False
    assert Settings(keys=tmp_path / "none", host="192.0.2.1", auth="none").cors == ()


def test_a_deleted_key_file_does_not_turn_authentication_off(tmp_path: Path) -> None:
    """A worker that starts later, when a mount is away, must not answer everybody."""
    path = tmp_path / "keys.json"
    path.write_text("{}")
    decided = Settings(keys=path).with_access_decided
    path.unlink()
    assert decided.signed
    assert Settings(keys=path).signed is False


def test_an_inaccessible_key_file_counts_as_existing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", denied)
    assert Settings(keys=tmp_path / "keys.json").signed


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("example.com", False),
    ],
)
def test_addresses_of_loopback(host: str, expected: bool) -> None:
    assert Settings(host=host).on_loopback is expected


def test_the_body_limit_grows_with_the_images() -> None:
    assert Settings().body_limit_bytes == 15 * 1024 * 1024
    larger = Settings(max_inline_bytes=20_000_000)
    assert larger.body_limit_bytes == smallest_body_limit(20_000_000) > 2 * 20_000_000 * 4 / 3
    assert larger.body_memory >= larger.body_limit_bytes


def test_every_setting_is_listed_once_and_documented() -> None:
    rows = list(in_force(configure({}, {})))
    assert [name for name, _, _ in rows] == list(SETTINGS)
    assert {origin for _, _, origin in rows} == {"default"}
    assert {each.name for each in fields(S3Settings)} == {
        name.removeprefix("s3.") for name in SETTINGS if name.startswith("s3.")
    }
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    for name, value, _ in rows:
        shown = "the user's `likeness/keys.json`" if name == "keys" else f"`{value}`" if value else "empty"
        row = f"| `{name}` | {shown} | {SETTINGS[name].help.replace('|', chr(92) + '|')} |"
        assert row in page, f"docs/operations.md lacks the row\n{row}"
