"""Sockets passed by a service manager; that requests wait for the next server is in `test_under_load`."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from likeness.errors import SettingsError
from likeness.server import activation
from likeness.server.settings import Settings
from likeness.server.startup_checks import check_startup


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        yield listener


def pass_on(held: int, monkeypatch: pytest.MonkeyPatch, *, count: str = "1", pid: int | None = None) -> None:
    """As a service manager does, but at the next free descriptor instead of 3."""
    monkeypatch.setattr(activation, "_DESCRIPTOR", os.dup(held))
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() if pid is None else pid))


def test_the_socket_of_the_setting_is_taken_and_no_child_inherits_it(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_on(listener.fileno(), monkeypatch)
    assert activation.has_socket()
    check_startup(Settings(unix_socket=tmp_path / "socket"))
    with activation.passed_socket(tmp_path / "socket") as taken:
        assert taken.getsockname() == listener.getsockname()
        assert not taken.get_inheritable()
    assert not activation.has_socket()
    assert "LISTEN_FDS" not in os.environ


def test_what_was_passed_to_another_process_is_not_taken(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_on(listener.fileno(), monkeypatch, pid=1)
    assert not activation.has_socket()


def test_other_sockets_are_refused(listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, (tmp_path / "file").open("w") as file:
        for held, count, path, words in (
            (listener.fileno(), "1", tmp_path / "other", "does not listen on unix_socket = "),
            (listener.fileno(), "1", None, "does not listen on unix_socket = None"),
            (tcp.fileno(), "1", tmp_path / "socket", "does not listen on unix_socket = "),
            (file.fileno(), "1", tmp_path / "socket", "is not a socket"),
            (listener.fileno(), "2", tmp_path / "socket", "pass one socket"),
        ):
            pass_on(held, monkeypatch, count=count)
            with pytest.raises(SettingsError, match=words):
                activation.passed_socket(path)
