"""The Prometheus metrics of GET /metrics.

The service's CloudWatch names (specification section 7.4) are in the label `metric`. With several workers, each writes
a snapshot of its series to shared memory, and the worker that answers adds them up.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec

from likeness.aws.errors import UnknownOperation
from likeness.errors import InvalidS3Object, RateExceeded, S3Cause, Throttled
from likeness.server.request_context import RequestContext
from likeness.server.sharing import SharedState
from likeness.sources.store import S3RateExceeded

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram, Metric

Series = TypeVar("Series", "Counter", "Histogram", "Gauge")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_OPERATION = "CompareFaces"
_STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RESPONSE_MS = (10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2500, 5000, 10_000, 30_000)


class Family(msgspec.Struct):
    """One metric of a snapshot. `samples` are (name, [(label, value), ...], number)."""

    name: str
    text: str
    type: str
    samples: list[tuple[str, list[tuple[str, str]], float]]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Family]).decode


class Metrics:
    """All series of one process; with several processes, `shared` is their memory and `slot` the place of this one."""

    def __init__(self, shared: SharedState | None = None, slot: int = 0) -> None:
        # When set, prometheus_client shares its values through files in that folder, from its import on.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._shared = shared
        self._slot = slot
        self._labelled: dict[tuple[Any, ...], Any] = {}
        self._registry = CollectorRegistry()
        if shared is None:
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
        self.pages = self._counter("likeness_pages", "Pages served: console, health, metrics.")
        self.stages = self._histogram("likeness_stage_seconds", "Time per stage.", ("stage",), _STAGE_SECONDS)
        self.faces = self._counter("likeness_faces_found", "Faces found before any filter.", ("photo",))
        self.body_bytes = self._counter("likeness_body_bytes", "Bytes of request bodies.")
        self._define_gauges()
        self.log_dropped = self._counter(
            "likeness_log_records_dropped", "Records of a log that could not be written in time.", ("log",)
        )
        self.lost_decoders = self._counter(
            "likeness_decoders_lost", "Decoder processes that a photo ended, by cause; each was replaced.", ("cause",)
        )
        self.s3_failures = self._counter(
            "likeness_s3_failures", "Requests whose objects could not be read, by cause.", ("cause",)
        )
        self._dropped: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        for name in ("SuccessfulRequestCount", "ThrottledCount", "ServerErrorCount", "UserErrorCount"):
            self._of(self.cloudwatch, name, _OPERATION)
        # increase() sees nothing where a series begins at 1, so the first bug needs a 0 before it.
        self._of(self.requests, "500", "InternalServerError")
        for cause in get_args(S3Cause):
            self._of(self.s3_failures, cause)

    def _define_gauges(self) -> None:
        self.queue = self._gauge("likeness_queue_length", "Requests that wait.")
        self.running = self._gauge("likeness_running", "Requests being compared.")
        self.held_threads = self._gauge(
            "likeness_s3_held_threads", "Threads held by reads of S3 or a folder that did not return in time."
        )
        self.stale_files = self._gauge(
            "likeness_stale_files", "Workers that could not read a changed file and use what it held before.", ("file",)
        )
        self.log_queue = self._gauge(
            "likeness_log_queue_length", "Records of a log that are not written yet.", ("log",)
        )
        self.decoding_layers = self._gauge(
            "likeness_decoding_layers",
            "Workers whose decoders have this layer of protection; process: a process of their own.",
            ("layer",),
        )
        self.ready = self._gauge("likeness_ready_workers", "Workers whose engine has answered once.")

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> "Counter":
        from prometheus_client import Counter

        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> "Histogram":
        from prometheus_client import Histogram

        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> "Gauge":
        from prometheus_client import Gauge

        return Gauge(name, text, labels, registry=self._registry)

    def set_stale(self, file: str, stale: bool) -> None:
        """Records whether the file of a setting has changed and could not be reloaded."""
        self._of(self.stale_files, file).set(int(stale))

    def set_log(self, log: str, waiting: int, dropped: int) -> None:
        """Records how many records of a log wait, and how many have been dropped in total."""
        self._of(self.log_queue, log).set(waiting)
        self._of(self.log_dropped, log).inc(dropped - self._dropped.get(log, 0))
        self._dropped[log] = dropped

    def set_decoding(self, layers: Mapping[str, bool], lost: Mapping[str, int]) -> None:
        """Records the layers around this worker's decoders, and how many decoders were lost in total, by cause."""
        for name, in_force in layers.items():
            self._of(self.decoding_layers, name).set(int(in_force))
        for cause in ("crash", "memory", "time"):
            counter = self._of(self.lost_decoders, cause)
            counter.inc(lost.get(cause, 0) - self._lost.get(cause, 0))
        self._lost = dict(lost)

    def count(self, context: RequestContext) -> None:
        """Counts an answered request."""
        code = context.error.code if context.error is not None else ""
        self._of(self.requests, str(context.status), code).inc()
        self.body_bytes.inc(context.body_bytes)
        for stage, seconds in context.seconds.items():
            self._of(self.stages, stage).observe(seconds)
        if isinstance(context.error, (InvalidS3Object, S3RateExceeded)):
            self._of(self.s3_failures, context.error.cause).inc()
        if context.trace is not None:
            self._of(self.faces, "source").inc(context.trace.source_faces)
            self._of(self.faces, "target").inc(context.trace.target_faces)
        if context.method == "POST" and not isinstance(context.error, UnknownOperation):
            for name in _cloudwatch_names(context):
                self._of(self.cloudwatch, name, _OPERATION).inc()
            response_time = self._of(self.response_time, "ResponseTime", _OPERATION)
            response_time.observe(1000 * context.seconds.get("total", 0.0))

    def _of(self, series: Series, *labels: str) -> Series:
        """The series with these labels, cached: prometheus_client finds it under a lock, fifteen times a request."""
        key = (series, *labels)
        if key not in self._labelled:
            self._labelled[key] = series.labels(*labels)
        found: Series = self._labelled[key]
        return found

    def share(self) -> None:
        """Writes this worker's current numbers for the other workers, in about two milliseconds."""
        if self._shared is not None:
            self._shared.write(self._slot, _encode([_family(metric) for metric in self._registry.collect()]))

    def render(self) -> bytes:
        """The page, summed over all workers; the others' numbers are those that they last shared."""
        from prometheus_client import CollectorRegistry, generate_latest

        if self._shared is None:
            return generate_latest(self._registry)
        self.share()
        together = CollectorRegistry()
        together.register(_Sum([self._shared.read(slot) for slot in range(self._shared.slots)]))
        return generate_latest(together)


class _Sum:
    """The sum of snapshots as a collector for prometheus_client."""

    def __init__(self, snapshots: Iterable[bytes]) -> None:
        self._families = added(*(_decode(snapshot) for snapshot in snapshots if snapshot))

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client import Metric

        for family in self._families:
            metric = Metric(family.name, family.text, family.type)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric


def _family(metric: "Metric") -> Family:
    samples = [(sample.name, list(sample.labels.items()), sample.value) for sample in metric.samples]
    return Family(metric.name, metric.documentation, metric.type, samples)


def added(*snapshots: list[Family]) -> list[Family]:
    """The sum of snapshots by series, in order of first appearance."""
    families: dict[str, Family] = {}
    numbers: dict[str, dict[tuple[Any, ...], float]] = {}
    for family in (family for snapshot in snapshots for family in snapshot):
        families.setdefault(family.name, family)
        sums = numbers.setdefault(family.name, {})
        for name, labels, value in family.samples:
            key = (name, tuple(map(tuple, labels)))
            sums[key] = sums.get(key, 0.0) + value
    return [
        Family(name, family.text, family.type, [(key[0], list(key[1]), value) for key, value in numbers[name].items()])
        for name, family in families.items()
    ]


def keep_counts(shared: SharedState, slot: int, ended: int) -> None:
    """Adds the counts of a worker that has ended to the slot `ended`; its gauges are dropped."""
    left = shared.read(slot)
    if left:
        counted = [family for family in _decode(left) if family.type != "gauge"]
        before = shared.read(ended)
        shared.write(ended, _encode(added(_decode(before) if before else [], counted)))
    shared.clear(slot)


def _cloudwatch_names(context: RequestContext) -> list[str]:
    names = []
    if 200 <= context.status < 300:
        names.append("SuccessfulRequestCount")
    elif 400 <= context.status < 500:
        names.append("UserErrorCount")
    elif context.status >= 500:
        names.append("ServerErrorCount")
    if isinstance(context.error, (Throttled, RateExceeded)):
        names.append("ThrottledCount")
    return names
