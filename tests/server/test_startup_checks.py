"""`serve --check` refuses what `serve` refuses, with the same message."""

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from likeness.aws.keys import create_key
from likeness.cli import serve
from likeness.errors import SettingsError
from likeness.server.loader import Compares, load_comparer
from likeness.server.settings import Settings
from likeness.server.startup_checks import check_startup


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def load(*given: Any) -> Compares:
        if "--check" not in arguments:
            raise AssertionError("a server started")
        return load_comparer(*given)

    code = serve.main(arguments, load)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--access-log", "missing/access.log"], "log file missing/access.log cannot be written: No such file"),
        (["--audit-log", "missing/audit.log"], "log file missing/audit.log cannot be written: No such file"),
        (["--access-log", "."], "log file . cannot be written: Is a directory"),
        (["--audit-log", ""], None),
        (["--host", "fe80::1%nowhere", "--auth", "none"], "host = fe80::1%nowhere is not an address of this machine"),
        (["--host", "a" * 64 + ".example", "--auth", "none"], "is not an address of this machine: "),
        (["--host", "192.0.2.1", "--auth", "none"], "cannot listen on 192.0.2.1, port 0: "),
        (["--host", ""], "setting host"),
        (["--pack", ""], "setting pack"),
        (["--unix-socket", "."], "unix_socket = . exists and is not a socket"),
        (["--unix-socket", "missing/socket"], "there is no folder missing"),
        (["--tls-certificate", "missing.pem", "--tls-key", "missing.pem"], "there is no such file"),
    ],
)
def test_check_refuses_what_serve_refuses(
    arguments: list[str], words: str | None, capsys, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--port", "0", "--keys", "none.json", *arguments]
    code, checked = said(["--check", *given], capsys)
    if words is None:
        assert (code, checked) == (0, "")
        return
    assert code == 252
    assert words in checked
    assert checked.count("\n") == 1
    assert said(given, capsys) == (252, checked)
    assert list(tmp_path.iterdir()) == []


SECRETS = (
    '[s3]\naccess_key_id = "a"\nsecret_access_key = "s"',
    '[[s3.buckets]]\npattern = "x"\naccess_key_id = "a"\nsecret_access_key = "s"',
)


@pytest.mark.parametrize(("text", "mode"), [(SECRETS[0], 0o644), (SECRETS[1], 0o604), (SECRETS[0], 0o640), ("", 0o644)])
def test_secrets_that_every_user_may_read_are_warned_of(
    text: str, mode: int, certificate: tuple[Path, Path], capsys, tmp_path: Path
) -> None:
    config, key = tmp_path / "likeness.toml", tmp_path / "key.pem"
    config.write_text(text)
    shutil.copy(certificate[1], key)
    for path in (config, key):
        path.chmod(mode)
    given = ["--config", str(config), "--tls-certificate", str(certificate[0]), "--tls-key", str(key), "--auth", "none"]
    # An engine that cannot be loaded: the warnings come before it.
    serve.main([*given, "--check", "--pack", str(tmp_path / "none")])
    said = capsys.readouterr().err
    warned = [path for path in (config, key) if f"may read the secret in {path} (mode {mode:o}); chmod o= " in said]
    assert warned == [path for path in (config, key) if mode & 0o004 and (path == key or text)]


def test_check_warns_of_policies_that_name_packs_which_are_not_held(capsys, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    condition = {"StringEquals": {"likeness:Pack": "old"}}
    key = create_key(
        keys,
        "trial",
        policy={"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}},
    )
    code, warned = said(["--check", "--keys", str(keys)], capsys)
    assert (code, warned.count("likeness serve: warning: ")) == (0, 1)
    assert f"packs that this server does not hold (see the settings pack and packs): {key.id} (trial): old" in warned


def test_check_leaves_nothing_behind_and_nothing_changed(capsys, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("torn")
    arguments = ["--access-log", str(tmp_path / "access.log"), "--audit-log", str(tmp_path / "audit.log")]
    arguments += ["--unix-socket", str(tmp_path / "socket"), "--keys", str(tmp_path / "none.json")]
    assert said(["--check", *arguments], capsys)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["access.log"]
    assert (tmp_path / "access.log").read_text() == "torn"


def test_a_pipe_as_a_log_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    checking = threading.Thread(
        target=check_startup, args=(Settings(port=0, access_log=str(tmp_path / "log")),), daemon=True
    )
    checking.start()
    checking.join(60)
    assert not checking.is_alive()


def test_an_address_in_use_can_be_checked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as running:
        check_startup(Settings(port=running.getsockname()[1]))
    with socket.socket(socket.AF_UNIX) as running:
        running.bind(str(tmp_path / "socket"))
        running.listen()
        check_startup(Settings(unix_socket=tmp_path / "socket"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_may_not_be_written_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for settings in (Settings(port=0, access_log=str(tmp_path / "log")), Settings(unix_socket=tmp_path / "socket")):
        with pytest.raises(SettingsError, match="Permission denied"):
            check_startup(settings)


@pytest.mark.parametrize("pack", ["nonsense", "./nonsense"])
def test_check_refuses_a_missing_pack(pack: str, capsys, tmp_path: Path) -> None:
    code, words = said(["--check", "--port", "0", "--keys", str(tmp_path / "none.json"), "--pack", pack], capsys)
    assert code == 78
    assert words.startswith("likeness serve: the engine cannot be loaded: ")


#: What no server starts with, and the words: {own} has no calibration, {ill} a manifest that was changed.
ILL_MADE: list[tuple[str, tuple[str, str] | None, str]] = [
    ("--pack {own}", None, "{own}/manifest.toml has no [calibration]"),
    ("--packs {own}", None, "pack {own}: {own}/manifest.toml has no [calibration]"),
    ("--shadow {own}", None, "pack {own}: {own}/manifest.toml has no [calibration]"),
    (
        "--packs {own} --uncalibrated --packs-memory-bytes 1000",
        None,
        "more than packs_memory_bytes = 1000; serve fewer",
    ),
    (
        "--pack {ill} --uncalibrated",
        ('file = "detector.onnx"', 'file = "embedder.onnx"'),
        "does not have the outputs of yunet",
    ),
    (
        "--packs {ill} --uncalibrated",
        ('file = "detector.onnx"', 'file = "embedder.onnx"'),
        "does not have the outputs of yunet",
    ),
    (
        "--shadow {ill} --uncalibrated",
        ('file = "detector.onnx"', 'file = "embedder.onnx"'),
        "does not have the outputs of yunet",
    ),
    ("--pack {ill} --uncalibrated", ("size_px = 112", "size_px = 128"), "takes chips of 112x112"),
    ("--packs {ill} --uncalibrated", ("[pack]", "[pack"), "manifest.toml is not readable TOML"),
    ("--packs {ill} --uncalibrated", ("embedder.onnx", "missing.onnx"), "missing.onnx cannot be read"),
]


def ill_made(own_pack: Path, folder: Path, change: tuple[str, str] | None) -> dict[str, str]:
    """The folders of the user's own pack, and of a copy with some text of the manifest changed."""
    shutil.copytree(own_pack, folder)
    if change is not None:
        text = (folder / "manifest.toml").read_text("utf-8")
        assert change[0] in text
        (folder / "manifest.toml").write_text(text.replace(*change), "utf-8")
    return {"own": str(own_pack), "ill": str(folder)}


@pytest.mark.engine
@pytest.mark.parametrize(("flags", "change", "words"), ILL_MADE)
def test_check_refuses_packs_that_cannot_serve(
    flags: str, change: tuple[str, str] | None, words: str, own_pack: Path, tmp_path: Path, capsys
) -> None:
    names = ill_made(own_pack, tmp_path / "ill", change)
    given = ["--check", "--port", "0", "--keys", str(tmp_path / "none.json"), *flags.format(**names).split()]
    assert serve.main(given) == 78
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("likeness serve: the engine cannot be loaded: ")
    assert words.format(**names) in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.engine
@pytest.mark.parametrize(("flags", "change", "words"), [ILL_MADE[0], ILL_MADE[6]])
def test_serve_refuses_them_in_the_same_words(
    flags: str, change: tuple[str, str] | None, words: str, own_pack: Path, tmp_path: Path
) -> None:
    names = ill_made(own_pack, tmp_path / "ill", change)
    given = ["--port", "0", "--keys", str(tmp_path / "none.json"), *flags.format(**names).split()]
    command = [str(Path(sys.executable).with_name("likeness")), "serve", *given]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 78
    logged = [json.loads(line)["message"] for line in ended.stderr.splitlines() if line.startswith("{")]
    assert any(words.format(**names) in message for message in logged)


@pytest.mark.engine
@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is CUDA here")
def test_check_refuses_a_missing_device(standard_pack: None, tmp_path: Path, capsys) -> None:
    given = ["--check", "--port", "0", "--keys", str(tmp_path / "none.json"), "--device", "cuda"]
    assert serve.main(given) == 78
    assert "the engine cannot be loaded: the device is cuda, but this ONNX Runtime" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "offline", "words"),
    [
        ("--pack yunet-retail", "", "the pack yunet-retail needs files from their publishers"),
        ("--pack open-model-zoo", "", "has no [calibration]"),
        ("--pack open-model-zoo --uncalibrated", "", "is fetched from its publishers by: likeness packs install"),
        ("--pack standard", "1", "LIKENESS_OFFLINE"),
        ("--pack standard", "", None),
    ],
)
def test_of_a_pack_that_is_not_installed_check_says_what_is_known(
    flags: str, offline: str, words: str | None, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIKENESS_OFFLINE", offline)
    code, text = said(["--check", "--port", "0", "--keys", str(tmp_path / "none.json"), *flags.split()], capsys)
    assert code == (78 if words else 0)
    assert (words or "") in text
    assert not (tmp_path / "home").exists()


_ON_A_TERMINAL = """
import fcntl, sys, termios
from pathlib import Path
from likeness.server.validation import check_certificate
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
check_certificate(*map(Path, sys.argv[1:]))
"""


def test_an_encrypted_key_is_refused_and_its_password_not_asked_for(certificate: tuple[Path, Path]) -> None:
    """A server with a terminal, and one that reads its certificate again, would wait for an answer for ever."""
    encrypted = certificate[0].with_name("encrypted.pem")
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:abcd", "-in", str(certificate[1]), "-out", str(encrypted)]
    subprocess.run(command, check=True, capture_output=True)
    ours, terminal = pty.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _ON_A_TERMINAL, str(certificate[0]), str(encrypted)],
            stdin=terminal,
            stderr=subprocess.PIPE,
            start_new_session=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(terminal)
    assert b"SettingsError" in ended.stderr
    assert b"cannot be used" in ended.stderr
