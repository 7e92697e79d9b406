"""The server's Comparer: loaded in the background, with one comparison before the server reports ready."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from likeness.errors import LikenessError, RequestError
from likeness.server.admission import Unavailable
from likeness.server.compares import Compares as Compares
from likeness.server.settings import Settings
from likeness.server.several_packs import SeveralPacks, check_memory, comparers_of, named

_log = logging.getLogger(__name__)


#: Creates the engine from the settings and the number of threads it may use.
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
    with named(settings.pack):
        comparer.reserve_memory()
    names = [
        name for name in dict.fromkeys((*settings.packs, *filter(None, [settings.shadow]))) if name != settings.pack
    ]
    if not names:
        return comparer
    decode = comparer.decode
    others = {n: Comparer(n, settings=settings.comparer, threads=threads, decode=decode) for n in names}
    check_memory({settings.pack: comparer, **others}, settings.packs_memory_bytes)
    return SeveralPacks(comparer, others, settings.shadow)


def ready_engine(load: Callable[[], Compares]) -> Compares:
    """The engine that `load` makes, once each of its packs has compared two pictures.

    Raises what `load` raises, and PackInvalid, with the pack's name, for a pack that cannot compare.
    """
    engine = load()
    for pack, comparer in comparers_of(engine).items():
        with named(pack):
            comparer.warm_up()
            _compare_once(comparer)
        _log.info("engine ready: pack %s", pack)
    return engine


class Loader:
    """Loads in a separate thread; `ready` waits for it. For one event loop."""

    def __init__(self, load: Callable[[], Compares]) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[Compares] = self._loop.create_future()
        self.failure: Exception | None = None

    def start(self, on_failure: Callable[[], None]) -> None:
        """Starts loading. If that fails, `on_failure` is called in the loop, and `failure` is the error."""
        # Not a daemon: at its end the interpreter would stop a daemon thread within C++ code, which aborts the process.
        # The server waits for this thread as for others (`serving`).
        threading.Thread(target=partial(self._run, on_failure), name="load").start()

    def _run(self, on_failure: Callable[[], None]) -> None:
        try:
            comparer = ready_engine(self._load)
        except Exception as error:  # noqa: BLE001 - any error ends the server, which logs it
            self.failure = error
            if not isinstance(error, LikenessError):
                _log.exception("the engine cannot be loaded")
            self._call_in_loop(on_failure)
        else:
            self._call_in_loop(partial(self._set, comparer))

    def _call_in_loop(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            _log.info("the server ended before its engine was loaded")

    def _set(self, comparer: Compares) -> None:
        if not self._loaded.done():
            self._loaded.set_result(comparer)

    @property
    def is_ready(self) -> bool:
        """Whether the engine is loaded and has compared once."""
        return self._loaded.done() and not self._loaded.cancelled()

    @property
    def engine(self) -> Compares | None:
        """The engine; None while it is loading."""
        return self._loaded.result() if self.is_ready else None

    async def ready(self, deadline: float) -> Compares:
        """Waits for the engine. Raises Unavailable when it is not loaded by `deadline` (`loop.time()`)."""
        if self.is_ready:
            return self._loaded.result()
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self._loaded)
        except TimeoutError as error:
            raise Unavailable("the engine was still being loaded at the request's deadline") from error

    def close(self) -> None:
        """Frees the engine. No comparison may be running."""
        if self.is_ready:
            self._loaded.result().close()
        else:
            self._loaded.cancel()


def _compare_once(comparer: Compares) -> None:
    """Compares a picture without a face, which runs the decoder and the detector.

    The picture is searched at the largest size there is, so that the memory for it is allocated, or lacking, at start.
    """
    picture = _grey_jpeg()
    with suppress(RequestError):
        comparer.compare(picture, picture, similarity_threshold=80.0, quality_filter="NONE")


def _grey_jpeg() -> bytes:
    import numpy as np
    import simplejpeg

    jpeg: bytes = simplejpeg.encode_jpeg(np.full((1440, 1920, 3), 127, np.uint8), quality=75)
    return jpeg
