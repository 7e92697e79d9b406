"""Raw bytes to the server: request lines, headers, chunked bodies, several requests on one connection.

The real application answers on a socket pair in this thread; only the engine is a stub. The input arrives in two pieces
and then ends. Everything that comes back must be HTTP, and nothing a server error. Inputs of an odd length come to a
server behind a proxy, below a path, that demands signatures.
"""

import asyncio
import logging
import socket
from dataclasses import replace
from functools import cache
from typing import Any

from fuzz.formats import file_of, folder
from fuzz.target import Target
from likeness.errors import NoFaceFound
from likeness.faces import Comparison, QualityFilter
from likeness.server import serving
from likeness.server.accepting import Connections
from likeness.server.app import Application
from likeness.server.rates import Rates
from likeness.server.settings import Settings
from likeness.server.sharing import SharedState, WorkerSlot

HEADERS = b"Host: a\r\nX-Amz-Target: RekognitionService.CompareFaces\r\nContent-Type: application/x-amz-json-1.1\r\n"
FORWARDED = b"X-Forwarded-For: 192.0.2.1, 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
BODY = b'{"SourceImage":{"Bytes":"/9j/4AAQ"},"TargetImage":{"Bytes":"/9j/4AAQ"}}'
#: Those of documents, refusals and errors; 100 is sent before a body.
STATUSES = {100, 200, 204, 304, 400, 403, 404, 405, 408, 411, 413, 414, 431, 501, 503, 505}
#: Generous, for a busy machine: what hangs is told by the watch.
SECONDS = 60.0


class StubEngine:
    """Finds no face."""

    pack_identity = "stub"

    def compare(
        self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: QualityFilter
    ) -> Comparison:
        """As Comparer's."""
        raise NoFaceFound("source photo: no face found")

    def warm_up(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to free."""


class Talks:
    """An event loop with the application, and one connection after another."""

    def __init__(self, *, is_behind_proxy: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self._settings = Settings(
            access_log=str(folder() / "access.log"), console=False, header_timeout_seconds=SECONDS
        )
        if is_behind_proxy:
            keys = file_of(b'{"keys": []}', "keys.json")
            self._settings = replace(
                self._settings, trusted_proxies=("*",), path_prefix="/faces", auth="sigv4", keys=keys
            )
        self.failures: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(repr(context)))
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        settings = self._settings
        slot = WorkerSlot(0, 1, Rates(0.0), SharedState(1))
        app = Application(settings, lambda _settings, _threads: StubEngine(), slot, connections=Connections(10))
        app.loader.start(lambda: self.failures.append("the engine is not loaded"))
        while not app.loader.is_ready:
            await asyncio.sleep(0.01)
        config = serving._config(settings, app)
        config.load()
        self._server = serving.Server(config, app, slot)

    def answers(self, data: bytes) -> bytes:
        """What the server sends until it closes the connection."""
        return self.loop.run_until_complete(asyncio.wait_for(self._answers(data), SECONDS))

    async def _answers(self, data: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        config: Any = self._server.config
        await self.loop.connect_accepted_socket(
            lambda: config.http_protocol_class(config=config, server_state=self._server.server_state, app_state={}),
            theirs,
        )
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            half = len(data) // 2
            for piece in (data[:half], data[half:]):
                writer.write(piece)
                await asyncio.sleep(0)
            writer.write_eof()
            return await reader.read(-1)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@cache
def talks(is_behind_proxy: bool) -> Talks:
    """The one application of its kind."""
    logging.disable(logging.CRITICAL)
    return Talks(is_behind_proxy=is_behind_proxy)


def run(data: bytes) -> None:
    """Sends the bytes and reads the responses."""
    server = talks(len(data) % 2 == 1)
    answers = server.answers(data)
    failures, server.failures = server.failures, []
    assert not failures, failures
    for status in statuses(answers):
        assert status in STATUSES, status


def statuses(answers: bytes) -> list[int]:
    """The statuses of pipelined responses, read by their lengths."""
    found = []
    while answers:
        head, end, rest = answers.partition(b"\r\n\r\n")
        assert end, answers
        line, *lines = head.split(b"\r\n")
        version, status, *_ = line.split(b" ")
        assert version == b"HTTP/1.1", line
        lengths = [each.split(b":", 1)[1] for each in lines if each.lower().startswith(b"content-length:")]
        # The answer to a HEAD has a length and no body.
        has_body = lengths and not rest.startswith(b"HTTP/1.1 ")
        answers = rest[int(lengths[0]) :] if has_body else rest
        found.append(int(status))
    return found


def seeds() -> list[bytes]:
    """Requests of every kind."""
    post = b"POST / HTTP/1.1\r\n" + HEADERS
    sized = post + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n10;a=b\r\n" + BODY[:16] + b"\r\n"
    chunked += b"%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(BODY) - 16, BODY[16:])
    return [
        sized,
        sized + sized,
        chunked,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n",
        b"HEAD /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        post + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n{}x",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        *(post.replace(b" /", path) + FORWARDED + b"Content-Length: 2\r\n\r\n{}" for path in (b" /faces", b" /faces/")),
        *(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in (b"/faces/readyz", b"/faces//readyz")),
    ]


TARGET = Target(
    run,
    (),
    seeds,
    tokens=(
        *(b"POST ", b"GET ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/9.9\r\n"),
        *(
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Host: \r\n",
            b"\r\n\r\n",
        ),
        *(
            b"Connection: close\r\n",
            b"Connection: upgrade\r\nUpgrade: websocket\r\n",
            b"Expect: 100-continue\r\n",
            b"\r\n ",
        ),
        *(
            b"0\r\n\r\n",
            b"ffffffff\r\n",
            b"Authorization: AWS4-HMAC-SHA256 ",
            b"http://[",
            b"//",
            b"/../",
            b"%2f",
            b"?x=%zz",
        ),
        *(
            b"Content-Encoding: gzip\r\n",
            b"Range: bytes=0-\r\n",
            b"\x00",
            b"\n\n",
            b"Content-Length: +1\r\n",
            b"If-None-Match: *\r\n",
        ),
        *(b"X-Forwarded-For: [::1]:1\r\n", b"X-Forwarded-For: x\r\n", b"X-Forwarded-Proto: https\r\n", b"/faces"),
    ),
    max_bytes=8192,
)
