"""What is answered to GET: health, readiness, metrics. The API itself only ever POSTs, so every other path is free.

A page is an ASGI application. To add pages (a console, say), add a function to BUILDERS that gives them by path; a path
that ends in "/" stands for everything below it.
"""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import msgspec

from likeness.server.metrics import CONTENT_TYPE as METRICS_TYPE

if TYPE_CHECKING:
    from likeness.server.app import Application

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Page = Callable[[Any, Any, Send], Awaitable[None]]


async def send_page(send: Send, status: int, body: bytes, content_type: str) -> None:
    """Sends a whole page that must not be kept by anyone on the way."""
    headers = [
        (b"Content-Type", content_type.encode()),
        (b"Content-Length", str(len(body)).encode()),
        (b"Date", formatdate(usegmt=True).encode()),
        (b"Cache-Control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def health_pages(app: "Application") -> Mapping[str, Page]:
    """`/healthz`: the process answers.

    `/readyz`: the pack is loaded and has answered once, no file is stale, and the end is not near.
    """

    async def healthz(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        await send_page(send, 200, b'{"status":"ok"}', "application/json")

    async def readyz(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        stale = app.stale_files
        if app.is_stopping:
            state = "stopping"
        elif not app.loader.is_ready:
            state = "loading"
        else:
            state = "stale" if stale else "ready"
        told = {"status": state, "pack": app.settings.pack} | ({"files": stale} if stale else {})
        await send_page(send, 200 if state == "ready" else 503, msgspec.json.encode(told), "application/json")

    return {"/healthz": healthz, "/readyz": readyz}


def metrics_pages(app: "Application") -> Mapping[str, Page]:
    """`/metrics`, unless it is turned off."""

    async def metrics(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        await send_page(send, 200, app.metrics.render(), METRICS_TYPE)

    return {"/metrics": metrics} if app.settings.metrics else {}


BUILDERS: tuple[Callable[["Application"], Mapping[str, Page]], ...] = (health_pages, metrics_pages)


class Pages:
    """All pages by path, below the path prefix too."""

    def __init__(self, app: "Application") -> None:
        self._prefix = app.settings.path_prefix
        self._pages = {path: page for build in BUILDERS for path, page in build(app).items()}
        self._folders = sorted((path for path in self._pages if path.endswith("/")), key=len, reverse=True)

    def find(self, method: str, path: str) -> Page | None:
        """The page for a request, or None when it is the API's."""
        if method not in ("GET", "HEAD"):
            return None
        if self._prefix and path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        exact = self._pages.get(path)
        if exact is not None:
            return exact
        return next((self._pages[folder] for folder in self._folders if path.startswith(folder)), None)
