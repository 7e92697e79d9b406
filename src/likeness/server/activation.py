"""Socket activation: a listening Unix socket that a service manager, such as systemd, holds and passes to the server.

The socket outlives the server, so that connections wait while a new server replaces the old one. The protocol is that
of sd_listen_fds(3).
"""

import os
import socket
from pathlib import Path

from likeness.errors import SettingsError

_DESCRIPTOR = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def has_socket() -> bool:
    """Whether this process has been passed sockets."""
    return os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0"


def passed_socket(path: Path | None) -> socket.socket:
    """The listening socket that was passed. Raises SettingsError unless it is one Unix socket, and that of `path`.

    Only Unix sockets are accepted: who may connect to one is decided by the permissions of its file, whereas an address
    would evade the check of `host` against `auth`.
    """
    count = os.environ["LISTEN_FDS"]
    if count != "1":
        raise SettingsError(f"LISTEN_FDS = {count}: pass one socket, the one of unix_socket")
    try:
        passed = socket.socket(fileno=_DESCRIPTOR)
    except OSError as error:
        raise SettingsError(f"LISTEN_FDS = 1; descriptor {_DESCRIPTOR} is not a socket: {error.strerror}") from error
    passed.set_inheritable(False)
    for variable in _VARIABLES:
        os.environ.pop(variable, None)
    if not _listens_on(passed, path):
        passed.close()
        raise SettingsError(f"the socket passed by LISTEN_FDS does not listen on unix_socket = {path}")
    return passed


def _listens_on(passed: socket.socket, path: Path | None) -> bool:
    if (
        path is None
        or passed.family != socket.AF_UNIX
        or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        return False
    try:
        return path.samefile(passed.getsockname())
    except (OSError, ValueError):  # its file was removed, or it has none
        return False
