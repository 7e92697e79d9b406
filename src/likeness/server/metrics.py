"""What Prometheus reads from GET /metrics.

The service's own CloudWatch names (specification section 7.4) stand in the label `metric`. With several workers each
writes to files of a folder they share, and whichever answers adds them up: prometheus_client's multiprocess mode, which
its environment variable switches on before it is imported. Hence the imports inside.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from likeness.aws.errors import UnknownOperation
from likeness.errors import RateExceeded, Throttled
from likeness.server.exchange import Exchange

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

Series = TypeVar("Series", "Counter", "Histogram", "Gauge")

#: prometheus_client's own name for the folder that workers share.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_OPERATION = "CompareFaces"
_STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RESPONSE_MS = (10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2500, 5000, 10_000, 30_000)


class Metrics:
    """All series of one process."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._shared = bool(os.environ.get(FOLDER_VARIABLE))
        self._labelled: dict[tuple[Any, ...], Any] = {}
        self._registry = CollectorRegistry()
        if not self._shared:
            ProcessCollector(registry=self._registry)
        self.cloudwatch = self._counter(
            "likeness_cloudwatch",
            "Counts by the service's own metric names. A throttled request counts as ThrottledCount and by its status.",
            ("metric", "operation"),
        )
        self.response_time = self._histogram(
            "likeness_response_time_milliseconds",
            "The service's ResponseTime: from the request's headers to the answer.",
            ("metric", "operation"),
            _RESPONSE_MS,
        )
        self.requests = self._counter("likeness_requests", "Requests by status and error code.", ("status", "code"))
        self.stages = self._histogram("likeness_stage_seconds", "Time per stage.", ("stage",), _STAGE_SECONDS)
        self.faces = self._counter("likeness_faces_found", "Faces found before any filter.", ("photo",))
        self.body_bytes = self._counter("likeness_body_bytes", "Bytes of request bodies.")
        self.queue = self._gauge("likeness_queue_length", "Requests that wait.")
        self.running = self._gauge("likeness_running", "Requests being compared.")
        self.stale_files = self._gauge(
            "likeness_stale_files", "Workers that could not read a changed file and use what it held before.", ("file",)
        )
        self.ready = self._gauge("likeness_ready_workers", "Workers whose engine has answered once.")
        for name in ("SuccessfulRequestCount", "ThrottledCount", "ServerErrorCount", "UserErrorCount"):
            self._of(self.cloudwatch, name, _OPERATION)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> "Counter":
        from prometheus_client import Counter

        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> "Histogram":
        from prometheus_client import Histogram

        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> "Gauge":
        from prometheus_client import Gauge

        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode="livesum")

    def set_stale(self, file: str, stale: bool) -> None:
        """Notes whether the file of a setting changed and could not be read again."""
        self._of(self.stale_files, file).set(int(stale))

    def count(self, exchange: Exchange) -> None:
        """Counts an answered request."""
        code = exchange.error.code if exchange.error is not None else ""
        self._of(self.requests, str(exchange.status), code).inc()
        self.body_bytes.inc(exchange.body_bytes)
        for stage, seconds in exchange.seconds.items():
            self._of(self.stages, stage).observe(seconds)
        if exchange.trace is not None:
            self._of(self.faces, "source").inc(exchange.trace.source_faces)
            self._of(self.faces, "target").inc(exchange.trace.target_faces)
        if exchange.method == "POST" and not isinstance(exchange.error, UnknownOperation):
            for name in _cloudwatch_names(exchange):
                self._of(self.cloudwatch, name, _OPERATION).inc()
            response_time = self._of(self.response_time, "ResponseTime", _OPERATION)
            response_time.observe(1000 * exchange.seconds.get("total", 0.0))

    def _of(self, series: Series, *labels: str) -> Series:
        """The one with these labels, kept: prometheus_client looks for it under a lock, fifteen times a request."""
        key = (series, *labels)
        if key not in self._labelled:
            self._labelled[key] = series.labels(*labels)
        found: Series = self._labelled[key]
        return found

    def render(self) -> bytes:
        """The page, of all workers together."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _cloudwatch_names(exchange: Exchange) -> list[str]:
    names = []
    if 200 <= exchange.status < 300:
        names.append("SuccessfulRequestCount")
    elif 400 <= exchange.status < 500:
        names.append("UserErrorCount")
    elif exchange.status >= 500:
        names.append("ServerErrorCount")
    if isinstance(exchange.error, (Throttled, RateExceeded)):
        names.append("ThrottledCount")
    return names


def forget_process(pid: int, folder: Path) -> None:
    """Takes the gauges of a worker that is gone out of the sums; its counts stay."""
    for path in folder.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
