"""Several packs in one server: policies choose among them, and one may run as a shadow of the main one."""

import logging
import resource
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from likeness.errors import LikenessError, PackInvalid, RequestError, SettingsError
from likeness.faces import Comparison, QualityFilter
from likeness.server.compares import Compares

_log = logging.getLogger(__name__)

#: The number of decisions that differ is logged after the first comparison, and then each time after this many; bugs of
#: the shadow likewise.
LOGGED_EVERY = 100


class SeveralPacks:
    """The main comparer, and `others` by the name of their pack. All other attributes are the main comparer's.

    `shadow` names the one that compares every request of the main pack as well, in the same thread: it takes no more
    threads and no more memory for pixels, and its time is charged to the caller. Only whether the decisions (matches or
    none) agree is counted, and nothing of it reaches an answer.
    """

    def __init__(self, main: Compares, others: Mapping[str, Compares], shadow: str | None) -> None:
        self._main = main
        self._others = dict(others)
        self._shadow = None if shadow is None else self._others[shadow]
        self._shadow_name = shadow
        self._compared = self._differing = self._failed = self._bugs = 0
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._main, name)

    @property
    def pack_identity(self) -> str:
        """That of the main pack."""
        return self._main.pack_identity

    def of(self, pack: str) -> Compares:
        """The comparer of a pack; this one for the main pack."""
        return self._others.get(pack, self)

    def compare(
        self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: QualityFilter
    ) -> Comparison:
        """As the main comparer's."""
        chosen: dict[str, Any] = {"similarity_threshold": similarity_threshold, "quality_filter": quality_filter}
        comparison = self._main.compare(source, target, **chosen)
        if self._shadow is not None:
            try:
                differs = bool(self._shadow.compare(source, target, **chosen).matches) != bool(comparison.matches)
                self._count(differs=differs)
            except RequestError:
                self._count(failed=True)
            except Exception as error:  # noqa: BLE001 - a pack on trial must not fail requests
                self._count(failed=True)
                self._note_bug(error)
        return comparison

    @property
    def comparers(self) -> Mapping[str, Compares]:
        """The comparers of all packs: the main one by its pack's identity, the others by the names in the settings."""
        return {self.pack_identity: self._main, **self._others}

    def warm_up(self) -> None:
        """Warms up all packs."""
        for comparer in self.comparers.values():
            comparer.warm_up()

    def close(self) -> None:
        """Closes all packs, the main one last: the others may decode with it."""
        for comparer in (*self._others.values(), self._main):
            comparer.close()

    def _note_bug(self, error: Exception) -> None:
        """Logs the first bug of the shadow and then one in `LOGGED_EVERY`, with their number."""
        with self._lock:
            self._bugs += 1
            bugs = self._bugs
        if bugs % LOGGED_EVERY == 1:
            _log.error("the shadow pack %s failed (%d so far)", self._shadow_name, bugs, exc_info=error)

    def _count(self, *, differs: bool = False, failed: bool = False) -> None:
        with self._lock:
            self._compared += 1
            self._differing += differs
            self._failed += failed
            counts = self._differing, self._compared, self._failed
            logged = self._compared == 1 or self._compared % LOGGED_EVERY == 0
        if logged:
            _log.info("shadow %s: %d of %d decisions differ, %d failed", self._shadow_name, *counts)


def comparers_of(engine: Compares) -> Mapping[str, Compares]:
    """The comparers of all packs that the engine holds, by what names them."""
    return engine.comparers if isinstance(engine, SeveralPacks) else {engine.pack_identity: engine}


def comparer_of(engine: Compares, pack: str) -> Compares:
    """The comparer of a pack, where the engine holds several."""
    return engine.of(pack) if isinstance(engine, SeveralPacks) else engine


@contextmanager
def named(pack: str) -> Iterator[None]:
    """Makes PackInvalid, with the pack's name, of what no code raises on purpose, but networks that do not fit do."""
    try:
        yield
    except (LikenessError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())  # ONNX Runtime writes several lines
        raise PackInvalid(f"the pack {pack} cannot compare: {type(error).__name__}: {reason}") from error


def check_memory(packs: Mapping[str, Compares], most_bytes: int) -> None:
    """Loads the networks of each pack; SettingsError as soon as the process takes more than `most_bytes`."""
    for name, comparer in packs.items():
        with named(name):
            try:
                comparer.warm_up()
            except LikenessError as error:
                raise type(error)(f"pack {name}: {error}") from error
        taken = resident_bytes()
        if taken > most_bytes:
            raise SettingsError(
                f"with the pack {name} a worker takes {taken} bytes, more than packs_memory_bytes = {most_bytes}; "
                "serve fewer packs, or allow more"
            )


def resident_bytes() -> int:
    """The memory of this process: the present one on Linux, elsewhere its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
