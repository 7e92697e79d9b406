"""The ASGI application: pages for GET, the operation for all other requests, and the logs and metrics of both.

Plain ASGI: one POST route and a few GETs need no framework, and the API has its own routing (specification 2.4).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from likeness.aws.audit import Caller, audit_record
from likeness.aws.key_file import KeyFile
from likeness.aws.protocol import Cors, WireResponse, failure
from likeness.aws.quoting import brief
from likeness.server import logs
from likeness.server.accepting import Connections
from likeness.server.access_log import access_record, user_agent
from likeness.server.admission import Admission, Unavailable, costly_places, costly_threads, places
from likeness.server.bodies import BodyMemory, ClientLeft, Receive
from likeness.server.connections import CONNECTION, MALFORMED
from likeness.server.console_pages import console_pages
from likeness.server.images import ImageReader
from likeness.server.loader import Load, Loader
from likeness.server.log_files import GATHER_SECONDS, LogFile, LogWriter
from likeness.server.metrics import Metrics
from likeness.server.operation import Operation
from likeness.server.pages import HEALTH_PATHS, Page, Pages, Send, State, health_pages, metrics_pages
from likeness.server.pools import started_pool
from likeness.server.redaction import redact_all
from likeness.server.refusals import check_head, refuse, to_origin_form
from likeness.server.reloading import Reloading
from likeness.server.request_context import RequestContext
from likeness.server.settings import Settings
from likeness.server.sharing import WorkerSlot
from likeness.sources.stores import Stores
from likeness.system.processors import yield_processors

#: nginx's status for a client that disconnects before the response; it appears in logs and metrics only.
CLIENT_LEFT = 499
#: The timeout for writing the last log records at shutdown.
_LOG_SECONDS = 1.0
#: The layers around a comparer without decoders of its own.
_NOT_ISOLATED = {"process": False}
#: How old another worker's numbers on the metrics page may be; sharing them takes two milliseconds.
_SHARE_SECONDS = 0.5
#: Pages that are served however many connections are open: otherwise a flood would look like a crash.
_NEVER_REFUSED = (*HEALTH_PATHS, "/metrics")


class Application:
    """The application of one worker; created inside its event loop."""

    def __init__(self, settings: Settings, load: Load, slot: WorkerSlot, *, connections: Connections) -> None:
        """Raises SettingsError for a key file or a log file that cannot be used, or threads that cannot be started."""
        threads = slot.threads
        self._slot = slot
        self.settings = settings
        self.connections = connections
        self.is_stopping = False
        self._access, self._audit = _logs(settings)
        self._in_progress = 0
        self.metrics = Metrics(slot.shared if settings.workers > 1 else None, slot.number)
        self._shared: tuple[object, ...] = ()
        self._share_at = 0.0
        self._answered = 0
        self.reloading = Reloading()
        self.reloading.add("access_log", self._access.reopen)
        if self._audit is not None:
            self.reloading.add("audit_log", self._audit.reopen)
        self._keys = KeyFile(settings.keys, packs=settings.chosen_packs) if settings.signed else None
        self.loader = Loader(lambda: load(settings, threads))
        self._pool = started_pool(threads, "compare")
        self._costly_pool = started_pool(costly_threads(threads), "costly", yield_processors)
        self.admission, self.costly_admission = _admissions(settings, slot, self._pool, self._costly_pool)
        self._parser = started_pool(max(1, threads // 2), "parse")
        self._images = ImageReader(
            Stores(settings.stores()),
            max_bytes=settings.max_s3_bytes,
            threads=threads,
            max_queue=settings.max_queue,
            origins=settings.cors_origins or (),
        )
        self.operation = Operation(
            settings=settings,
            cors=Cors(settings.cors),
            keys=self._keys,
            rates=slot.rates,
            loader=self.loader,
            admission=self.admission,
            costly_admission=self.costly_admission,
            memory=BodyMemory(settings.body_memory),
            images=self._images,
            parser=self._parser,
        )
        self._pages = Pages(settings.path_prefix, self._pages_by_path(threads))

    def _pages_by_path(self, threads: int) -> dict[str, Page]:
        pages = dict(health_pages(self._state, self._readiness))
        if self.settings.metrics:
            pages |= metrics_pages(self.metrics)
        if self.settings.serves_console:
            pages |= console_pages(self.settings, self.loader, threads=threads)
        return pages

    def _state(self) -> State:
        if self.is_stopping:
            return "stopping"
        if not self.loader.is_ready:
            return "loading"
        return "stale" if self.stale_files else "ready"

    def _readiness(self) -> dict[str, Any]:
        """What `/readyz` reports besides the state."""
        stale = self.stale_files
        return {"pack": self.settings.pack} | ({"files": stale} if stale else {})

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers one request; ASGI's entry point."""
        to_origin_form(scope)
        send = self._closing(send)
        context = RequestContext.of(scope)
        page = self._pages.find(scope["method"], scope["path"])
        is_spared = page is not None and scope["path"].endswith(_NEVER_REFUSED)
        has_room = is_spared or self.connections.admit(scope[CONNECTION], context.network)
        if page is not None and has_room and check_head(scope) is None:
            if not scope["path"].endswith(HEALTH_PATHS):
                await self.operation.defer()
            self.tick()
            self._set_gauges()
            self.metrics.pages.inc()
            await page(scope, receive, send)
            return
        self._in_progress += 1
        try:
            await self._answer(context, scope, receive, send, has_room=has_room)
        finally:
            self._in_progress -= 1

    async def _answer(
        self, context: RequestContext, scope: Any, receive: Receive, send: Send, *, has_room: bool
    ) -> None:
        try:
            response = self._refuse(scope, context, has_room) or await self.operation.answer(context, receive)
        except (ClientLeft, asyncio.CancelledError) as leaving:
            status, context.reason = scope.get(MALFORMED, (CLIENT_LEFT, "the client left before its answer"))
            self._finish(context, status)
            if isinstance(leaving, ClientLeft):
                return
            raise
        context.reason = context.reason or response.reason
        self._finish(context, response.status)
        await _send(send, response)

    def _refuse(self, scope: Any, context: RequestContext, has_room: bool) -> WireResponse | None:
        if not has_room:
            return refuse(503, context.request_id, f"more than {self.connections.limit} connections")
        refusal = check_head(scope)
        if refusal is not None:
            return refuse(refusal[0], context.request_id, refusal[1])
        if self._audit is not None and self._must_refuse_for(self._audit):
            context.error = Unavailable("the audit log cannot be written, and audit_when_full = refuse")
            return failure(context.error, context.request_id)
        return None

    def _must_refuse_for(self, audit: LogWriter) -> bool:
        """Whether a record of one more request might be lost."""
        return self.settings.audit_when_full == "refuse" and not audit.has_capacity(self._in_progress)

    def _closing(self, send: Send) -> Send:
        """`send` that adds `Connection: close` to responses while the server is stopping."""

        async def send_closing(message: Mapping[str, Any]) -> None:
            if self.is_stopping and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"Connection", b"close")]}
            await send(message)

        return send_closing

    def note_malformed(self, client: str | None, status: int, reason: str) -> None:
        """Logs and counts a request that is not valid HTTP and was answered by the protocol."""
        context = RequestContext("", "", "", (), client, secure=False, reason=reason)
        self._finish(context, status)

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread here."""
        return self.admission.waiting + self.costly_admission.waiting

    @property
    def running(self) -> int:
        """Requests that are being compared here."""
        return self.admission.running + self.costly_admission.running

    def tick(self) -> None:
        """Called many times a second: reloads files that have changed or that failed to reload, and shares numbers."""
        self.operation.memory.clock.tick()
        self.reloading.retry()
        if self._keys is not None:
            self._keys.refresh()
        self._share()

    def _set_gauges(self) -> None:
        for name, seconds in self._failing_seconds().items():
            self.metrics.set_stale(name, seconds > 0)
        for writer in (self._access, self._audit):
            if writer is not None:
                self.metrics.set_log(writer.name, writer.waiting, writer.dropped)
        self.metrics.set_log("events", 0, logs.HANDLER.dropped)
        self.metrics.queue.set(self.waiting)
        self.metrics.running.set(self.running)
        self.metrics.held_threads.set(self._images.abandoned)
        self.metrics.ready.set(int(self.loader.is_ready))
        engine = self.loader.engine
        self.metrics.set_decoding(
            getattr(engine, "layers", _NOT_ISOLATED), getattr(getattr(engine, "decoders", None), "lost", {})
        )

    def _share(self) -> None:
        """Shares changed numbers with the other workers, at most once every `_SHARE_SECONDS`."""
        self._slot.shared.set_ready(self._slot.number, self.loader.is_ready and not self.is_stopping)
        state = (self._answered, self.waiting, self.running, self.loader.is_ready)
        if state != self._shared and time.monotonic() >= self._share_at:
            self._shared, self._share_at = state, time.monotonic() + _SHARE_SECONDS
            self._set_gauges()
            self.metrics.share()

    def _finish(self, context: RequestContext, status: int) -> None:
        context.status = status
        context.seconds["total"] = time.monotonic() - context.begun
        self.metrics.count(context)
        self._answered += 1
        if self.settings.log_requests == "all" or status >= 400:
            self._access.write(access_record(context, self.settings.pack if self.settings.packs else None))
        if self._audit is not None and context.method == "POST" and context.target is None:
            self._audit.write(redact_all(self._audit_record(context)))

    def _audit_record(self, context: RequestContext) -> dict[str, Any]:
        request = context.request
        if request is not None and not context.are_loaded:
            request = request.shortened()
        return audit_record(
            request_id=context.request_id,
            time=context.time,
            region=self.settings.audit_region,
            caller=Caller(context.client and brief(context.client), user_agent(context), context.identity),
            request=request,
            error=context.error,
        )

    @property
    def stale_files(self) -> list[str]:
        """The settings whose files could not be reloaded within the grace period."""
        grace = self.settings.reload_grace_seconds
        return [name for name, seconds in self._failing_seconds().items() if seconds > grace]

    def _failing_seconds(self) -> dict[str, float]:
        keys = {"keys": self._keys.failing_seconds} if self._keys is not None else {}
        return keys | self.reloading.failing_seconds()

    def start(self, on_failure: Callable[[], None]) -> None:
        """Starts loading the engine; `on_failure` is called when that fails."""
        self.loader.start(on_failure)

    def close(self) -> None:
        """Stops idle threads and frees the engine, unless comparisons still run in it."""
        for writer in (self._access, self._audit):
            if writer is not None:
                writer.close(_LOG_SECONDS)
        self._images.close()
        self._parser.shutdown(wait=False, cancel_futures=True)
        busy = self.running > 0
        for pool in (self._pool, self._costly_pool):
            pool.shutdown(wait=False, cancel_futures=True)
        if not busy:
            self.loader.close()


def _logs(settings: Settings) -> tuple[LogWriter, LogWriter | None]:
    """The access log, and the audit log if there is one; both may be one file."""
    file = LogFile(settings.access_log)
    access = LogWriter("access log", file, gather_seconds=GATHER_SECONDS)
    if settings.audit_log is None:
        return access, None
    audit_file = file if settings.audit_log == settings.access_log else LogFile(settings.audit_log)
    return access, LogWriter("audit log", audit_file, keep=settings.audit_when_full == "refuse")


def _admissions(
    settings: Settings, slot: WorkerSlot, pool: ThreadPoolExecutor, costly_pool: ThreadPoolExecutor
) -> tuple[Admission, Admission]:
    """The queues of ordinary and of costly requests."""
    own_queue, costly = settings.max_queue // settings.workers, costly_threads(slot.threads)
    ordinary = Admission(
        slot.threads,
        settings.max_queue,
        pool,
        queue=places(slot.threads, settings.pixel_memory_bytes),
        own_queue=own_queue,
        count_waiting=slot.count_waiting,
    )
    return ordinary, Admission(costly, own_queue, costly_pool, queue=costly_places(costly, settings.pixel_memory_bytes))


async def _send(send: Send, response: WireResponse) -> None:
    headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
