"""The server's Comparer: loaded in the background, with a first comparison before the server reports ready."""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from likeness.errors import LikenessError, RequestError
from likeness.faces import Comparison, QualityFilter
from likeness.server.admission import Unavailable
from likeness.server.settings import Settings

_log = logging.getLogger(__name__)


class Compares(Protocol):
    """What the server needs of a Comparer. Used by several threads at once."""

    def compare(
        self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: QualityFilter
    ) -> Comparison:
        """See `likeness.comparer.Comparer.compare`."""
        ...

    def warm_up(self) -> None:
        """Loads now what would be loaded at the first comparison."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


#: Makes the engine, given the settings and the number of threads it may keep busy.
Load = Callable[[Settings, int], Compares]


def load_comparer(settings: Settings, threads: int) -> Compares:
    """The Comparer of the configured pack. Raises PackError, and SettingsError where decoders cannot be started."""
    # Not imported before the workers are forked: numpy starts threads, which do not survive a fork.
    from likeness.comparer import Comparer
    from likeness.isolation.decoders import SUPPORTED
    from likeness.server.isolated import IsolatedComparer

    if settings.isolate_decoding and SUPPORTED:
        comparer: Comparer = IsolatedComparer(settings, threads)
    else:
        comparer = Comparer(settings.pack, settings=settings.comparer, threads=threads)
    comparer.reserve_memory()
    return comparer


class Loader:
    """Loads in a separate thread; `ready` waits for it. For one event loop."""

    def __init__(self, load: Callable[[], Compares]) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[Compares] = self._loop.create_future()
        self.failure: Exception | None = None

    def start(self, on_failure: Callable[[], None]) -> None:
        """Begins to load. `on_failure` is called in the loop when that fails; `failure` then says why."""
        # No daemon: the end of the interpreter would end a daemon thread within C++ code, which aborts the process.
        # The server waits for this thread like for others (`serving`).
        threading.Thread(target=partial(self._run, on_failure), name="load").start()

    def _run(self, on_failure: Callable[[], None]) -> None:
        try:
            comparer = self._load()
            comparer.warm_up()
            _ask_once(comparer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the server, which says so
            self.failure = error
            if not isinstance(error, LikenessError):
                _log.exception("the engine cannot be loaded")
            self._tell(on_failure)
        else:
            self._tell(partial(self._set, comparer))

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            _log.info("the server ended before its engine was loaded")

    def _set(self, comparer: Compares) -> None:
        if not self._loaded.done():
            self._loaded.set_result(comparer)

    @property
    def is_ready(self) -> bool:
        """Whether it is loaded and has answered once."""
        return self._loaded.done() and not self._loaded.cancelled()

    @property
    def engine(self) -> Compares | None:
        """The engine, or None while it is being loaded."""
        return self._loaded.result() if self.is_ready else None

    async def ready(self, deadline: float) -> Compares:
        """The engine, waited for until `deadline` (`loop.time()`). Raises Unavailable when it is not loaded by then."""
        if self.is_ready:
            return self._loaded.result()
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self._loaded)
        except TimeoutError as error:
            raise Unavailable("the engine was still being loaded at the request's deadline") from error

    def close(self) -> None:
        """Frees the engine. Call when nothing runs any more."""
        if self.is_ready:
            self._loaded.result().close()
        else:
            self._loaded.cancel()


def _ask_once(comparer: Compares) -> None:
    """A first comparison with a picture without a face, which goes through the decoder and the detector.

    The picture is searched at the largest size there is, so that the memory for it is there, or missed, from the start.
    """
    picture = _grey_jpeg()
    try:
        comparer.compare(picture, picture, similarity_threshold=80.0, quality_filter="NONE")
    except RequestError:
        # A stub has no pack.
        _log.info("engine ready: pack %s", getattr(comparer, "pack_identity", "unknown"))


def _grey_jpeg() -> bytes:
    import numpy as np
    import simplejpeg

    jpeg: bytes = simplejpeg.encode_jpeg(np.full((1440, 1920, 3), 127, np.uint8), quality=75)
    return jpeg
