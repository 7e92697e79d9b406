"""Files that are reloaded while the server runs: failures are reported and retried.

The key file is watched by itself (`likeness.aws.key_file`); logs and certificates are read again on SIGHUP.
"""

import logging
import ssl
import time
from collections.abc import Callable

from likeness.errors import SettingsError

_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Reloading:
    """Actions by the name of the setting of their file. For one event loop."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._actions: dict[str, Callable[[], None]] = {}
        self._clock = clock
        self._failing_since: dict[str, float] = {}
        self._retry_at = 0.0

    def add(self, name: str, action: Callable[[], None]) -> None:
        """`action` reads the file again, or raises SettingsError or OSError and leaves in use what was."""
        self._actions[name] = action

    def reload(self) -> None:
        """Reads all files again."""
        succeeded = [self._succeeds(name) for name in self._actions]
        if all(succeeded):
            _log.info("log files and certificates opened again")

    def retry(self) -> None:
        """Reads again what could not be read the last time; call it often."""
        if self._failing_since and self._clock() >= self._retry_at:
            for name in list(self._failing_since):
                if self._succeeds(name):
                    _log.info("%s opened again", name)

    def failing_seconds(self) -> dict[str, float]:
        """For each file, for how long it has failed to be read again; 0.0 where all is well."""
        now = self._clock()
        return {name: now - self._failing_since.get(name, now) for name in self._actions}

    def _succeeds(self, name: str) -> bool:
        try:
            self._actions[name]()
        except (SettingsError, OSError, ssl.SSLError) as error:
            if name not in self._failing_since:
                _log.error("%s: %s; what was open before stays in use, and it is tried again", name, error)
                self._failing_since[name] = self._clock()
            self._retry_at = self._clock() + _RETRY_SECONDS
            return False
        self._failing_since.pop(name, None)
        return True
