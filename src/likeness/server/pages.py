"""The pages for GET: health, readiness, metrics, and their routing.

The API uses POST only, so the paths of other methods are free. A page is an ASGI application.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any, Literal

import msgspec

from likeness.server.metrics import CONTENT_TYPE as METRICS_TYPE
from likeness.server.metrics import Metrics

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Page = Callable[[Any, Any, Send], Awaitable[None]]
State = Literal["ready", "loading", "stopping", "stale"]

HEALTH_PATHS = ("/healthz", "/readyz")
_NOT_CACHED = ((b"Cache-Control", b"no-store"),)


async def send_page(
    send: Send,
    status: int,
    body: bytes,
    content_type: str,
    headers: Iterable[tuple[bytes, bytes]] = _NOT_CACHED,
) -> None:
    """Sends a complete page with `headers`, by default one that must not be cached."""
    every = [
        (b"Content-Type", content_type.encode()),
        (b"Content-Length", str(len(body)).encode()),
        (b"Date", formatdate(usegmt=True).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})


def health_pages(state: Callable[[], State], details: Callable[[], Mapping[str, Any]]) -> Mapping[str, Page]:
    """`/healthz`: the process answers.

    `/readyz`: the engine has compared once, no file is stale, and the server is not stopping; the body adds `details`.
    """

    async def healthz(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        await send_page(send, 200, b'{"status":"ok"}', "application/json")

    async def readyz(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        status = state()
        body = msgspec.json.encode({"status": status, **details()})
        await send_page(send, 200 if status == "ready" else 503, body, "application/json")

    return {"/healthz": healthz, "/readyz": readyz}


def metrics_pages(metrics: Metrics) -> Mapping[str, Page]:
    """`/metrics`."""

    async def page(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        await send_page(send, 200, metrics.render(), METRICS_TYPE)

    return {"/metrics": page}


class Pages:
    """Finds pages by path, with or without the path prefix. Paths that end in "/", except "/", are folders."""

    def __init__(self, prefix: str, pages: Mapping[str, Page]) -> None:
        self._prefix = prefix
        self._pages = pages
        self._folders = tuple(path for path in pages if path.endswith("/") and path != "/")

    def find(self, method: str, path: str) -> Page | None:
        """The page for a request; None if the request is for the API."""
        if method not in ("GET", "HEAD"):
            return None
        if self._prefix and path == self._prefix and "/" in self._pages:
            return _to_folder
        if self._prefix and path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        exact = self._pages.get(path)
        if exact is not None:
            return exact
        return next((self._pages[folder] for folder in self._folders if path.startswith(folder)), None)


async def _to_folder(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
    """Redirects from /faces to /faces/, so that relative URLs in the page are below the prefix."""
    place = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0] + b"/"
    await send_page(send, 308, b"", "text/plain", (*_NOT_CACHED, (b"Location", place)))
