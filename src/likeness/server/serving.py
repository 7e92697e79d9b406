"""One worker's HTTP server: signals, log rotation, and graceful shutdown."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from types import FrameType

import uvicorn

from likeness.errors import LikenessError
from likeness.server import memory
from likeness.server.accepting import (
    SPARE_CONNECTIONS,
    Acceptor,
    Connections,
    fitting_connections,
    raise_descriptor_limit,
)
from likeness.server.app import Application
from likeness.server.connections import MAX_HEAD_BYTES, HttpConnection
from likeness.server.exit_codes import CANNOT_START, DONE
from likeness.server.forwarded import Forwarded
from likeness.server.loader import Load
from likeness.server.settings import Settings
from likeness.server.sharing import WorkerSlot
from likeness.server.validation import check_certificate

_log = logging.getLogger(__name__)

#: What shutdown may take beyond the grace period, and how long idle threads may take to end.
_SPARE_SECONDS = 2.0
_THREAD_END_SECONDS = 0.5
#: How long idle connections stay open at shutdown: a request may be on its way, and its answer closes the connection.
_LINGER_SECONDS = 0.25


class Server(uvicorn.Server):
    """uvicorn's server; SIGTERM and SIGINT finish the running requests and exit with 0, SIGHUP reloads files."""

    def __init__(self, config: uvicorn.Config, app: Application, slot: WorkerSlot) -> None:
        super().__init__(config)
        self._app = app
        self._slot = slot
        self._trimmer = memory.MemoryTrimmer()
        self._cutoff = _Cutoff(app.settings.grace_seconds + _SPARE_SECONDS)
        if config.ssl_certfile is not None:
            app.reloading.add("tls_certificate", self._load_certificate)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.signal(signal.SIGHUP, self._handle_hangup)
        try:
            yield
        finally:
            # SIGTERM and SIGINT stay handled: another one must not interrupt the writing of the last log records.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._cutoff.begin()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    def _handle_hangup(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # A signal handler interrupts the loop anywhere, so the work is scheduled in the loop.
        asyncio.get_running_loop().call_soon_threadsafe(self._app.reloading.reload)

    def _load_certificate(self) -> None:
        certificate, key = self._app.settings.tls_certificate, self._app.settings.tls_key
        if self.config.ssl is None or certificate is None or key is None:
            return
        # Checked first in a separate context: a key that does not match would leave this one with half of the new pair.
        check_certificate(certificate, key)
        self.config.ssl.load_cert_chain(certificate, key)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts connections through `Acceptor` instead of asyncio's server."""
        await self.lifespan.startup()

        def make_protocol() -> asyncio.Protocol:
            protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return protocol

        self.servers = [  # declared as asyncio's servers; uvicorn calls only the methods of Acceptor
            Acceptor(  # type: ignore[misc]
                listener,
                make_protocol,
                self._app.connections,
                context=self.config.ssl,
                handshake_seconds=self._app.settings.header_timeout_seconds,
                is_ahead=self._slot.is_ahead,
            )
            for listener in sockets or []
        ]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, and answers requests that were sent before their clients could know of the shutdown.

        uvicorn closes idle connections immediately.
        """
        self._app.is_stopping = True
        for acceptor in self.servers:
            acceptor.close()
        for listener in sockets or []:
            listener.close()
        if not self.force_exit:
            await asyncio.sleep(_LINGER_SECONDS)
        for acceptor in self.servers:
            acceptor.end_handshakes()  # type: ignore[attr-defined]
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        self._app.tick()
        if self._slot.supervisor is not None and os.getppid() != self._slot.supervisor:
            self._cutoff.begin()
            self.should_exit = True  # without a supervisor, nothing restarts or stops this worker
        self._trimmer.tick(counter, self.server_state.total_requests)
        return await super().on_tick(counter)


def run_worker(settings: Settings, listener: socket.socket, load: Load, slot: WorkerSlot) -> int:
    """Serves until a signal stops it; returns the exit code."""
    memory.configure()
    # Otherwise libraries start a thread per processor for each matrix product; requests already run in parallel.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    return asyncio.run(_serve(settings, listener, load, slot))


async def _serve(settings: Settings, listener: socket.socket, load: Load, slot: WorkerSlot) -> int:
    limit = fitting_connections(settings.max_connections, raise_descriptor_limit())
    connections = Connections(limit, slot.count_connections, SPARE_CONNECTIONS)
    if connections.limit < settings.max_connections:
        _log.warning(
            "max_connections = %d needs more open files than this process may have: %d connections are served at once",
            settings.max_connections,
            connections.limit,
        )
    app = Application(settings, load, slot, connections=connections)
    server = Server(_config(settings, app), app, slot)
    app.start(on_failure=partial(setattr, server, "should_exit", True))
    await server.serve([listener])
    running = app.running
    app.close()
    if app.loader.failure is not None:
        _log_failure(app.loader.failure)
        return CANNOT_START
    hanging = _hanging_threads()
    if running or hanging or server.force_exit:
        # Threads cannot be stopped and would keep the process alive beyond its grace period.
        _log.warning("ended with %d comparisons unfinished; threads left: %s", running, ", ".join(hanging) or "none")
        logging.shutdown()
        os._exit(DONE)
    return DONE


def _hanging_threads() -> list[str]:
    """The names of the non-daemon threads that do not end; idle ones end immediately."""
    end = time.monotonic() + _THREAD_END_SECONDS
    others = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    for thread in others:
        thread.join(max(0.0, end - time.monotonic()))
    return [thread.name for thread in others if thread.is_alive()]


class _Cutoff:
    """Ends the process some seconds after `begin`, even if the event loop hangs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # Not an Event: its `set`, interrupted by a handler that calls it again, waits for its own lock forever.
        self._begun: SimpleQueue[None] = SimpleQueue()
        # Started here: a signal handler must not start a thread, as it may have interrupted the start of another.
        threading.Thread(target=self._run, name="cutoff", daemon=True).start()

    def begin(self) -> None:
        """Starts the countdown; may be called by a signal handler, which may interrupt another call."""
        self._begun.put(None)

    def _run(self) -> None:
        self._begun.get()
        time.sleep(self._seconds)
        message = "the server did not end within its grace period and is terminated"
        # In a separate thread, as logging may block.
        threading.Thread(target=_log.error, args=(message,), daemon=True).start()
        time.sleep(_THREAD_END_SECONDS)
        os._exit(DONE)


def _log_failure(error: Exception) -> None:
    text = str(error) if isinstance(error, LikenessError) else f"{type(error).__name__}: {error}"
    _log.error("the engine cannot be loaded: %s", text)


def _config(settings: Settings, app: Application) -> uvicorn.Config:
    class Connection(HttpConnection):
        header_seconds = settings.header_timeout_seconds
        write_seconds = settings.body_timeout_seconds
        open_connections = app.connections
        on_malformed = app.note_malformed

    proxies = settings.trusted_proxies
    return uvicorn.Config(
        Forwarded(app, proxies) if proxies else app,
        http=Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # `Forwarded` reads them
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
