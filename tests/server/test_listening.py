"""Sockets of servers that have ended, and servers that start at the same moment."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from likeness.errors import SettingsError
from likeness.server.listening import check_address, listen
from likeness.server.settings import Settings


def leave_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))


def test_only_one_of_two_servers_takes_over_a_stale_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both come to remove it, if they can; the slower one then finds the other's socket there."""
    path = tmp_path / "socket"
    leave_stale_socket(path)
    both_remove = threading.Barrier(2)
    first_listens = threading.Event()
    unlink = Path.unlink

    def unlink_slowly(self: Path, missing_ok: bool = False) -> None:
        is_second = False
        with suppress(threading.BrokenBarrierError):
            is_second = both_remove.wait(1) == 1
        if is_second:
            first_listens.wait(60)
        unlink(self, missing_ok=missing_ok)

    def serve(_: int) -> socket.socket | str:
        try:
            return listen(Settings(unix_socket=path))
        except SettingsError as error:
            return str(error)
        finally:
            first_listens.set()

    monkeypatch.setattr(Path, "unlink", unlink_slowly)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(serve, range(2)))
    winners = [each for each in outcomes if isinstance(each, socket.socket)]
    assert [each for each in outcomes if isinstance(each, str)] == [f"another server listens on unix_socket {path}"]
    assert len(winners) == 1
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        winners[0].accept()[0].close()
    winners[0].close()
    assert [each.name for each in tmp_path.iterdir()] == ["socket"]


def test_a_socket_of_a_server_that_does_not_accept_is_not_stale(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(str(path))
        full.listen(0)
        first.connect(str(path))
        with pytest.raises(SettingsError, match="another server listens"):
            listen(Settings(unix_socket=path))


def test_a_path_that_is_not_a_socket_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "file", "link"):
        for use in (listen, check_address):
            with pytest.raises(SettingsError, match="exists and is not a socket"):
                use(Settings(unix_socket=tmp_path / name))
    assert (tmp_path / "file").read_text() == "kept"
    for name in ("file/socket", "none/socket", "a\0b", "\u00e4" * 60):
        with pytest.raises(SettingsError, match=r"cannot listen on unix_socket .*: .*(director|null|long)"):
            listen(Settings(unix_socket=tmp_path / name))
