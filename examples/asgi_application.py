"""An ASGI application that uses the library without blocking its event loop.

    uvicorn examples.asgi_application:application
    curl -F source=@a.jpg -F target=@b.jpg http://127.0.0.1:8000/

In a framework, do the same: create one `Comparer` when the application starts, and run each comparison in an executor
with as many threads as comparisons should run at once. The queue is bounded: when `WAITING` requests wait, further ones
are answered 503 at once.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from typing import Any

from likeness import Comparer
from likeness.errors import RequestError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

AT_ONCE, WAITING = 2, 16
MOST_BYTES = 10 * 1024 * 1024


class Application:
    """POST two photos as form fields `source` and `target`; the answer is that of CompareFaces."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._free = asyncio.Semaphore(AT_ONCE + WAITING)
        self._comparer: Comparer | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, answer = await self._answered(scope, receive)
            body = json.dumps(answer).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        """Loads the networks before the first request and closes the engine after the last."""
        await receive()  # lifespan.startup
        self._comparer = await asyncio.get_running_loop().run_in_executor(self._pool, _warm_comparer)
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        self._pool.shutdown()
        self._comparer.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answered(self, scope: Message, receive: Receive) -> tuple[int, dict[str, Any]]:
        if scope["method"] != "POST" or self._comparer is None:
            return 405, {"message": "POST a form with the photos source and target"}
        if self._free.locked():
            return 503, {"message": "too many comparisons are waiting; try again"}
        async with self._free:
            body = await _body(receive)
            photos = None if body is None else _fields(dict(scope["headers"]).get(b"content-type", b""), body)
            if photos is None or not {"source", "target"} <= photos.keys():
                return 400, {"message": f"send the form fields source and target, at most {MOST_BYTES} bytes together"}
            # The loop serves other requests while a thread of the pool compares.
            work = asyncio.get_running_loop().run_in_executor(
                self._pool, self._comparer.compare, photos["source"], photos["target"]
            )
            try:
                return 200, (await work).to_dict()
            except RequestError as error:
                return 400, {"message": str(error)}


def _warm_comparer() -> Comparer:
    comparer = Comparer()
    comparer.warm_up()
    return comparer


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is larger than allowed."""
    body, more = b"", True
    while more and len(body) <= MOST_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body if len(body) <= MOST_BYTES else None


def _fields(content_type: bytes, body: bytes) -> dict[str, bytes]:
    """The fields of a multipart form, by name."""
    form = message_from_bytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    fields = {}
    for part in form.walk() if form.is_multipart() else ():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):  # the form itself has none
            fields[str(part.get_param("name", header="content-disposition"))] = content
    return fields


application = Application()
