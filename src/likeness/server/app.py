"""The ASGI application: pages for GET, the operation for everything else, and what is told of both.

Plain ASGI: one POST route and a few GETs need no framework, and the wire's routing is its own (specification 2.4).
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from likeness.aws.audit import audit_record
from likeness.aws.key_file import KeyFile
from likeness.aws.protocol import Cors, WireResponse
from likeness.server.admission import Admission
from likeness.server.bodies import BodyMemory, ClientLeft, Receive
from likeness.server.exchange import Exchange
from likeness.server.images import ImageReader
from likeness.server.loader import Load, Loader
from likeness.server.logs import Lines, access_record
from likeness.server.metrics import Metrics
from likeness.server.operation import Operation
from likeness.server.pages import Pages, Send
from likeness.server.reloading import Reloading
from likeness.server.settings import Settings
from likeness.server.sharing import WorkerSlot
from likeness.sources.stores import Stores

#: nginx's status for a client that left before it was answered; only logs and metrics see it.
CLIENT_LEFT = 499
#: How old the numbers of another worker may be on the page of the metrics; sharing them takes two milliseconds.
_SHARE_SECONDS = 0.5


class Application:
    """One worker's application; made inside its event loop."""

    def __init__(self, settings: Settings, load: Load, slot: WorkerSlot) -> None:
        """Raises SettingsError for a key file or a log file that cannot be used."""
        threads = slot.threads
        self._slot = slot
        self.settings = settings
        self.is_stopping = False
        self._access = Lines(settings.access_log)
        self._audit = Lines(settings.audit_log) if settings.audit_log else None
        self.metrics = Metrics(slot.board if settings.workers > 1 else None, slot.number)
        self._shared: tuple[object, ...] = ()
        self._share_at = 0.0
        self._answered = 0
        self.reloading = Reloading()
        self.reloading.add("access_log", self._access.reopen)
        if self._audit is not None:
            self.reloading.add("audit_log", self._audit.reopen)
        self._keys = KeyFile(settings.keys) if settings.signed else None
        self.loader = Loader(lambda: load(settings, threads))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compare")
        self.admission = Admission(threads, settings.max_queue, self._pool, count_waiting=slot.count_waiting)
        self._parser = ThreadPoolExecutor(max(1, threads // 2), thread_name_prefix="parse")
        # More than run, so that loading and comparing overlap; few, because each may hold two objects of max_s3_bytes.
        self._images = ImageReader(Stores(settings.stores()), max_bytes=settings.max_s3_bytes, requests=2 * threads)
        self.operation = Operation(
            settings=settings,
            cors=Cors(settings.cors),
            keys=self._keys,
            rates=slot.rates,
            loader=self.loader,
            admission=self.admission,
            memory=BodyMemory(settings.body_memory, settings.body_limit_bytes),
            images=self._images,
            parser=self._parser,
        )
        self._pages = Pages(self)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers one request; ASGI's entry point."""
        page = self._pages.find(scope["method"], scope["path"])
        if page is not None:
            self.observe()
            await page(scope, receive, send)
            return
        exchange = Exchange.of(scope)
        try:
            response = await self.operation.answer(exchange, receive)
        except ClientLeft:
            self._finish(exchange, CLIENT_LEFT)
            return
        except asyncio.CancelledError:
            self._finish(exchange, CLIENT_LEFT)
            raise
        # Told before it is sent: who has the answer finds its reason in the log.
        self._finish(exchange, response.status)
        await _send(send, response)

    def observe(self) -> None:
        """Brings the gauges up to date, and what is read again while the server runs."""
        self.reloading.retry()
        if self._keys is not None:
            self._keys.refresh()
        for name, seconds in self._failing_seconds().items():
            self.metrics.set_stale(name, seconds > 0)
        self._share()
        self.metrics.queue.set(self.admission.waiting)
        self.metrics.running.set(self.admission.running)
        self.metrics.ready.set(int(self.loader.is_ready))

    def _share(self) -> None:
        """Lets the other workers see what has changed, not more often than is worth it."""
        self._slot.board.set_ready(self._slot.number, self.loader.is_ready)
        state = (self._answered, self.admission.waiting, self.admission.running, self.loader.is_ready)
        if state != self._shared and time.monotonic() >= self._share_at:
            self._shared, self._share_at = state, time.monotonic() + _SHARE_SECONDS
            self.metrics.share()

    def _finish(self, exchange: Exchange, status: int) -> None:
        exchange.status = status
        exchange.seconds["total"] = time.monotonic() - exchange.begun
        self.metrics.count(exchange)
        self._answered += 1
        if self.settings.log_requests == "all" or status >= 400:
            self._access.write(access_record(exchange))
        if self._audit is not None and exchange.method == "POST" and exchange.target is None:
            self._audit.write(
                audit_record(
                    request_id=exchange.request_id,
                    time=exchange.time,
                    region=self.settings.audit_region,
                    source_ip=exchange.client,
                    user_agent=exchange.header("user-agent"),
                    identity=exchange.identity,
                    request=exchange.request,
                    error=exchange.error,
                )
            )

    @property
    def stale_files(self) -> list[str]:
        """The settings whose files could not be read again within the grace period."""
        grace = self.settings.reload_grace_seconds
        return [name for name, seconds in self._failing_seconds().items() if seconds > grace]

    def _failing_seconds(self) -> dict[str, float]:
        keys = {"keys": self._keys.failing_seconds} if self._keys is not None else {}
        return keys | self.reloading.failing_seconds()

    def start(self, on_failure: Callable[[], None]) -> None:
        """Begins to load the engine; `on_failure` is called when that fails."""
        self.loader.start(on_failure)

    def close(self) -> None:
        """Ends the threads and frees the engine. Threads that still run are left to themselves."""
        self._images.close()
        self._parser.shutdown(wait=False, cancel_futures=True)
        busy = self.admission.running > 0
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not busy:
            self.loader.close()


async def _send(send: Send, response: WireResponse) -> None:
    headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
