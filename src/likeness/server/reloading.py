"""Files that are reloaded while the server runs; failures are logged and retried.

Logs and certificates are reloaded on SIGHUP; the key file is watched separately (`likeness.aws.key_file`).
"""

import logging
import ssl
import time
from collections.abc import Callable

from likeness.errors import SettingsError

_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Reloading:
    """Reload actions by the name of the file's setting. Not thread-safe: for one event loop."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._actions: dict[str, Callable[[], None]] = {}
        self._clock = clock
        self._failing_since: dict[str, float] = {}
        self._retry_at = 0.0

    def add(self, name: str, action: Callable[[], None]) -> None:
        """`action` reloads the file, or raises SettingsError or OSError and keeps the previous content in use."""
        self._actions[name] = action

    def reload(self) -> None:
        """Reloads all files."""
        succeeded = [self._succeeds(name) for name in self._actions]
        if all(succeeded):
            _log.info("log files and certificates opened again")

    def retry(self) -> None:
        """Retries the reloads that failed, at most once a second."""
        if self._failing_since and self._clock() >= self._retry_at:
            for name in list(self._failing_since):
                if self._succeeds(name):
                    _log.info("%s opened again", name)

    def failing_seconds(self) -> dict[str, float]:
        """For each file, how long reloading it has failed; 0.0 if the last attempt succeeded."""
        now = self._clock()
        return {name: now - self._failing_since.get(name, now) for name in self._actions}

    def _succeeds(self, name: str) -> bool:
        try:
            self._actions[name]()
        except (SettingsError, OSError, ssl.SSLError) as error:
            if name not in self._failing_since:
                _log.error("%s: %s; the previous file stays in use, and reloading is retried", name, error)
                self._failing_since[name] = self._clock()
            self._retry_at = self._clock() + _RETRY_SECONDS
            return False
        self._failing_since.pop(name, None)
        return True
