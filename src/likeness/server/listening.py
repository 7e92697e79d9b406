"""The server's listening socket."""

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from likeness.errors import SettingsError
from likeness.server.settings import Settings

_BACKLOG = 1024
#: How long a server waits for others that start or stop with a socket in the same folder; each takes milliseconds.
_LOCK_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.02


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingsError when the address is not available."""
    if settings.unix_socket is not None:
        return _listen_unix(settings.unix_socket, int(settings.unix_socket_mode, 8))
    listener = _bound(settings)
    listener.listen(_BACKLOG)
    return listener


def check_address(settings: Settings) -> None:
    """Raises SettingsError where `listen` would, except for an address in use, which a running server may hold.

    Leaves nothing behind.
    """
    if settings.unix_socket is None:
        with suppress(_AddressInUse):
            _bound(settings).close()
        return
    path = settings.unix_socket
    with suppress(_AddressInUse), _settings_errors(path):
        _is_stale(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        reason = os.strerror(errno.EACCES)
        raise SettingsError(f"cannot listen on unix_socket {path}: {reason}; choose a folder that this user may write")


class _AddressInUse(SettingsError):
    """Another server listens on the address."""


def _bound(settings: Settings) -> socket.socket:
    """A socket bound to host and port."""
    try:
        addresses = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is too long
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"host = {settings.host} is not an address of this machine: {reason}") from error
    # A name such as localhost has several addresses; all clients try the IPv4 one.
    family, kind, protocol, _, address = min(addresses, key=lambda each: each[0] != socket.AF_INET)
    # With the protocol: asyncio sets TCP_NODELAY only on sockets whose protocol is TCP.
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        kind_of_error = _AddressInUse if error.errno == errno.EADDRINUSE else SettingsError
        raise kind_of_error(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}; choose another with --port"
        ) from error
    return listener


def _listen_unix(path: Path, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _settings_errors(path), folder_lock(path.parent):
            if _is_stale(path):
                path.unlink()
            # The permissions must never be wider than configured, not even between bind and chmod.
            mask = os.umask(0o777 & ~mode)
            try:
                listener.bind(str(path))
            finally:
                os.umask(mask)
            listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def _settings_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the path contains a null character
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on unix_socket {path}: {reason}") from error


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Excludes other servers while a socket in the folder is replaced or removed.

    Otherwise another server could bind its own between the check and the removal. The lock is on the folder itself, so
    no lock file remains. Raises OSError if the folder cannot be read, or stays locked for `_LOCK_TIMEOUT_SECONDS`.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    end = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError("another process has locked the folder") from None
        time.sleep(_POLL_SECONDS)


def _is_stale(path: Path) -> bool:
    """Whether the path is the socket of a server that has ended.

    Raises SettingsError if a server listens on it, or if it is another kind of file.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SettingsError(f"unix_socket = {path} exists and is not a socket; choose another path")
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # connecting to one that listens and does not accept would block
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            pass
        raise _AddressInUse(f"another server listens on unix_socket {path}")


def url(settings: Settings, listener: socket.socket) -> str:
    """The server's URL for clients."""
    if settings.unix_socket is not None:
        return f"unix:{settings.unix_socket}"
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{settings.path_prefix}"
