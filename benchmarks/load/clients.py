"""Clients in one event loop: ordinary ones, which compare each answer with the known one, and hostile ones."""

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.load.requests import HEADERS, Exchange, refusal

REFUSAL = refusal()
#: As the standard retry mode of the SDKs: a random part of a delay that doubles from a second up to this.
_LONGEST_BACKOFF_SECONDS = 20.0
_SLOW_HEAD = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())


@dataclass
class Tally:
    """What clients got. Latencies are of requests that were admitted to a comparison, in seconds."""

    #: Answers that are not refusals, by the kind of request.
    answered: Counter[str] = field(default_factory=Counter)
    #: Those that differ from the answers to all other requests, so that a crossed one is seen.
    distinguishable: Counter[str] = field(default_factory=Counter)
    #: Comparisons that ended before the end of the measurement.
    compared: int = 0
    refused: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    ids: set[bytes] = field(default_factory=set)

    @property
    def requests(self) -> int:
        """All requests with an answer."""
        return sum(self.answered.values()) + self.refused


@dataclass(frozen=True)
class Answer:
    status: int
    request_id: bytes
    body: bytes


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> Answer:
    """Sends a request and reads its answer. Raises OSError or asyncio.IncompleteReadError where there is none."""
    writer.write(data)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    request_id = re.search(rb"(?i)\r\nx-amzn-requestid: (\S+)", head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return Answer(int(head.split(b" ", 2)[1]), request_id[1] if request_id else b"", body)


@dataclass
class Client:
    """Sends one request after the other until `end`, at most one per `interval` seconds."""

    port: int
    choose: Callable[[], Exchange]
    tally: Tally
    end: float
    interval: float = 0.0

    async def run(self) -> None:
        """Returns at `end`, with the answer to the last request."""
        refusals = 0
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        await asyncio.sleep(random.random() * self.interval)
        while (begun := time.monotonic()) < self.end:
            exchange = self.choose()
            try:
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", self.port)
                answer = await ask(*connection, exchange.request)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.tally.unanswered[type(error).__name__] += 1
                connection = None
                await asyncio.sleep(0.05)
                continue
            took = time.monotonic() - begun
            is_refused = self._note(exchange, answer, took)
            refusals = refusals + 1 if is_refused else 0
            backoff = random.random() * min(_LONGEST_BACKOFF_SECONDS, 2.0 ** (refusals - 1)) if is_refused else 0.0
            await asyncio.sleep(max(backoff, self.interval - took))
        if connection is not None:
            connection[1].close()

    def _note(self, exchange: Exchange, answer: Answer, took: float) -> bool:
        """Counts an answer; whether it is a refusal for lack of capacity."""
        if answer.request_id in self.tally.ids:
            self.tally.wrong.append(f"{exchange.kind}: the request id was used before")
        if exchange.kind != "health":
            self.tally.ids.add(answer.request_id)
        got = answer.status, answer.body
        if exchange.may_be_refused and got == REFUSAL:
            self.tally.refused += 1
            return True
        self.tally.answered[exchange.kind] += 1
        if got != (exchange.status, exchange.body):
            self.tally.wrong.append(f"{exchange.kind}: {answer.status} {answer.body[:200]!r}")
        elif exchange.is_distinct:
            self.tally.distinguishable[exchange.kind] += 1
        if answer.status == 200 and exchange.kind != "health":
            self.tally.latencies.append(took)
            self.tally.compared += time.monotonic() < self.end
        return False


async def serve_clients(clients: Sequence[Client]) -> None:
    """Runs them all to their ends."""
    await asyncio.gather(*(client.run() for client in clients))


async def be_silent(port: int, tally: Tally) -> None:
    """Opens a connection and sends nothing, again and again."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await reader.read()
                tally.unanswered["closed"] += 1
            finally:
                writer.close()
        await asyncio.sleep(0.05)


async def be_slow(port: int, tally: Tally) -> None:
    """Announces 15 MiB, sends 100 kB and then a byte from time to time."""
    head = f"POST / HTTP/1.1\r\n{_SLOW_HEAD}Content-Length: {15 * 1024 * 1024}\r\n\r\n".encode()
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(head + b" " * 100_000)
                answer = asyncio.ensure_future(reader.read(12))
                while not answer.done() and not writer.is_closing():
                    writer.write(b" ")
                    await asyncio.wait([answer], timeout=0.5)
                status = answer.result()[9:12].decode() if answer.done() else ""
                tally.unanswered[f"status {status}" if status else "closed"] += 1
            finally:
                writer.close()
        await asyncio.sleep(0.05)


async def send_without_pause(port: int, tally: Tally, exchange: Exchange) -> None:
    """Sends the same request again and again, without heeding refusals."""
    client = Client(port, lambda: exchange, tally, 0.0)
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            connection = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    begun = time.monotonic()
                    answer = await ask(*connection, exchange.request)
                    client._note(exchange, answer, time.monotonic() - begun)
            finally:
                connection[1].close()
        await asyncio.sleep(0.05)
