"""The key file of a running server: reloaded when it changes, and retried until that succeeds."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from likeness.aws.keys import Key, load_keys, unheld_packs
from likeness.errors import SettingsError

#: Seconds between attempts to load a file that failed, unless it changes again.
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class KeyFile:
    """The keys of a file. While a change cannot be loaded, the keys loaded before stay in force. Thread-safe.

    Loading is retried until it succeeds: a key that is revoked while the file cannot be read (no free descriptor, a
    missing mount) is refused as soon as the file can be read.
    """

    def __init__(
        self, path: Path | str, *, packs: Collection[str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises SettingsError when the file is missing, broken, or open to others.

        At each load, policies that name other packs than `packs`, those that the server holds, are warned of. None:
        these are not known.
        """
        self.path = Path(path)
        self._packs = packs
        self._clock = clock
        self._lock = threading.Lock()
        self._loaded = self._tried = _stamp(self.path)
        self._keys = load_keys(self.path)
        self._warn()
        self._retry_at = 0.0
        self._failing_since: float | None = None
        self._failure = ""

    def lookup(self, key_id: str) -> Key | None:
        """The key with this id, or None."""
        self.refresh()
        return self._keys.get(key_id)

    def __len__(self) -> int:
        self.refresh()
        return len(self._keys)

    @property
    def failing_seconds(self) -> float:
        """How long a change of the file could not be loaded; 0.0 when the keys in it are in force."""
        since = self._failing_since
        return 0.0 if since is None else self._clock() - since

    def refresh(self) -> None:
        """Loads the file if it has changed; usually only a check of its inode."""
        if _stamp(self.path) == self._loaded and self._failing_since is None:
            return
        with self._lock:
            stamp = _stamp(self.path)
            if stamp == self._loaded and stamp is not None:
                self._failing_since, self._failure = None, ""  # the loaded file is back
            elif stamp != self._tried or self._clock() >= self._retry_at:
                self._load(stamp)

    def _load(self, stamp: tuple[int, ...] | None) -> None:
        self._tried = stamp
        try:
            self._keys = load_keys(self.path)
        except SettingsError as error:
            self._retry_at = self._clock() + _RETRY_SECONDS
            if self._failing_since is None:
                self._failing_since = self._clock()
            if self._failure != str(error):
                self._failure = str(error)
                _log.error("key file not used, the keys loaded before stay in force: %s", error)
        else:
            # The stamp precedes the read, so that a change during it is detected.
            self._loaded = stamp
            self._failing_since, self._failure = None, ""
            _log.info("key file reloaded: %d keys", len(self._keys))
            self._warn()

    def _warn(self) -> None:
        warning = "" if self._packs is None else unheld_packs(self._keys.values(), self._packs)
        if warning:
            _log.warning("%s", warning)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
