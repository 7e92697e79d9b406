"""Several packs in one server: policies choose among them, and one may run as a shadow of the main one."""

import logging
import resource
import sys
import threading
from collections.abc import Mapping
from typing import Any

from likeness.errors import LikenessError, RequestError, SettingsError
from likeness.faces import Comparison, QualityFilter
from likeness.server.compares import Compares

_log = logging.getLogger(__name__)

#: The number of decisions that differ is logged after the first comparison, and then each time after this many.
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
        self._compared = self._differing = self._failed = 0
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._main, name)

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
            except Exception:  # noqa: BLE001 - a pack on trial must not fail requests
                _log.exception("the shadow pack %s failed", self._shadow_name)
                self._count(failed=True)
        return comparison

    def warm_up(self) -> None:
        """Warms up all packs."""
        for comparer in (self._main, *self._others.values()):
            comparer.warm_up()

    def close(self) -> None:
        """Closes all packs, the main one last: the others may decode with it."""
        for comparer in (*self._others.values(), self._main):
            comparer.close()

    def _count(self, *, differs: bool = False, failed: bool = False) -> None:
        with self._lock:
            self._compared += 1
            self._differing += differs
            self._failed += failed
            counts = self._differing, self._compared, self._failed
            logged = self._compared == 1 or self._compared % LOGGED_EVERY == 0
        if logged:
            _log.info("shadow %s: %d of %d decisions differ, %d failed", self._shadow_name, *counts)


def comparer_of(engine: Compares, pack: str) -> Compares:
    """The comparer of a pack, where the engine holds several."""
    return engine.of(pack) if isinstance(engine, SeveralPacks) else engine


def check_memory(packs: Mapping[str, Compares], most_bytes: int) -> None:
    """Loads the networks of each pack; SettingsError as soon as the process takes more than `most_bytes`."""
    for name, comparer in packs.items():
        try:
            comparer.warm_up()
        except LikenessError as error:
            raise type(error)(f"pack {name}: {error}") from error
        taken = resident_bytes()
        if taken > most_bytes:
            raise SettingsError(
                f"with the pack {name} a worker takes {taken / 1e6:.0f} MB, more than packs_memory_bytes "
                f"({most_bytes / 1e6:.0f} MB); serve fewer packs, or allow more"
            )


def resident_bytes() -> int:
    """The memory of this process: the present one on Linux, elsewhere its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
