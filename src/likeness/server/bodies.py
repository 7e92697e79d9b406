"""Request bodies: read up to a limit, within a time, and within the memory that all bodies may take together."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from likeness.aws.errors import BodyTooLarge
from likeness.server.admission import Overloaded, Turnstile
from likeness.server.exchange import Exchange

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: What a client may send beyond the limit and still read its 413: hanging up on a sender destroys the answer.
_DISCARDED_BYTES = 64 * 1024 * 1024


class ClientLeft(Exception):
    """The client closed the connection; nobody waits for an answer."""


class BodyTooSlow(Exception):
    """The body did not arrive in time."""


async def read_body(exchange: Exchange, receive: Receive, *, limit: int, seconds: float) -> bytearray:
    """The whole body. Raises BodyTooLarge, BodyTooSlow, ClientLeft."""
    try:
        async with asyncio.timeout(seconds):
            return await _read(exchange, receive, limit)
    except TimeoutError as error:
        raise BodyTooSlow from error


async def _read(exchange: Exchange, receive: Receive, limit: int) -> bytearray:
    body = bytearray()
    too_large = (declared_bytes(exchange) or 0) > limit
    more = not (too_large and _waits_for_leave(exchange))
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        exchange.body_bytes += len(piece)
        if exchange.body_bytes > limit:
            too_large = True
        if too_large:
            body = bytearray()
            more = more and exchange.body_bytes <= limit + _DISCARDED_BYTES
        else:
            body += piece
    if too_large:
        raise BodyTooLarge(f"the body has more than {limit} bytes")
    return body


def declared_bytes(exchange: Exchange) -> int | None:
    """What Content-Length says, None without one. The HTTP parser has checked that it is a number."""
    value = exchange.header("content-length")
    return int(value) if value is not None else None


def has_body(exchange: Exchange) -> bool:
    """Whether there is a body to wait for."""
    return bool(declared_bytes(exchange)) or exchange.header("transfer-encoding") is not None


def _waits_for_leave(exchange: Exchange) -> bool:
    """Whether the client sends nothing before it is told to go on: it can be refused without a byte being sent."""
    return (exchange.header("expect") or "").lower() == "100-continue"


class BodyMemory:
    """The memory for all bodies of a worker. A body that finds no room is not read, so the network holds it back."""

    def __init__(self, capacity_bytes: int, limit_bytes: int) -> None:
        self._room = Turnstile(capacity_bytes)
        self._limit = limit_bytes

    async def reserve(self, exchange: Exchange, deadline: float) -> int:
        """Reserves room for the body of a request; returns how much, to be given to `release`. Raises Overloaded."""
        declared = declared_bytes(exchange)
        size = 0 if not has_body(exchange) else self._limit if declared is None else min(declared, self._limit)
        if size and not await self._room.take(size, deadline):
            raise Overloaded("no memory for the request's body before its deadline; see body_memory_bytes")
        return size

    def release(self, size: int) -> None:
        """Gives back what `reserve` returned."""
        if size:
            self._room.give(size)
