"""`serve --probe` tells whether the server with the same settings is ready, wherever it listens."""

import socket
from pathlib import Path

import pytest

from likeness.cli import serve as command
from likeness.server import probe as module

from .conftest import Running, Serve, free_port, wait_for


def probe(server: Running, *flags: str, port: bool = True) -> int:
    return command.main(["--probe", *(("--port", str(server.port)) if port else ()), *flags])


def test_a_server_is_not_ready_until_its_engine_is(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve("--pack", "not yet", "--host", "0.0.0.0", "--auth", "none")
    assert probe(server, "--host", "0.0.0.0") == 1
    assert 'not ready: 503 {"status":"loading"' in capsys.readouterr().err
    server.create("now")
    wait_for(lambda: probe(server, "--host", "0.0.0.0") == 0)


def test_over_tls(serve: Serve, certificate: tuple[Path, Path]) -> None:
    flags = ("--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1]))
    server = serve(*flags)
    wait_for(lambda: probe(server, *flags) == 0)
    assert probe(server) == 1


def test_on_a_socket_file(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve("--unix-socket", "socket")
    path = str(server.folder / "socket")
    wait_for(lambda: probe(server, "--unix-socket", path, port=False) == 0)
    capsys.readouterr()
    assert probe(server, "--unix-socket", path + "s", port=False) == 1
    assert f"the server on {path}s does not answer: " in capsys.readouterr().err


def test_settings_that_a_running_server_can_do_without_are_not_read(serve: Serve) -> None:
    """The server goes on with the keys that it has; `/readyz` tells when that is too long ago."""
    server = serve()
    wait_for(lambda: probe(server, "--auth", "sigv4", "--keys", str(server.folder / "none.json")) == 0)


def test_where_none_listens_and_with_wrong_settings() -> None:
    assert command.main(["--probe", "--port", str(free_port())]) == 1
    assert command.main(["--probe", "--port", "none"]) == 252


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_server_that_says_nothing_is_not_waited_for(
    family: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)
    path = str(tmp_path / "socket")
    with socket.socket(family) as listener:
        listener.bind(path if family == socket.AF_UNIX else ("127.0.0.1", 0))
        listener.listen()
        where = ["--unix-socket", path] if family == socket.AF_UNIX else ["--port", str(listener.getsockname()[1])]
        assert command.main(["--probe", *where]) == 1
    assert "does not answer: timed out" in capsys.readouterr().err
