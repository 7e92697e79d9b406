"""The client and the scheme that a trusted proxy reports in X-Forwarded-For and X-Forwarded-Proto.

A proxy may append to what its own client sent, so an entry is believed only as far as trusted proxies wrote it: from
the last one backwards to the first that is no trusted proxy's address. Where every peer is trusted (`*`: a Unix socket,
whose peers have no address), one proxy is, and its entry is the last.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from likeness.aws.addresses import Address, parse_address, parse_network
from likeness.aws.quoting import brief

ANY_PEER = "*"
#: The key in an ASGI scope for the reason to refuse a request whose proxy reports a client without an IP address:
#: neither a policy nor fair sharing could decide about it.
UNKNOWN_CLIENT = "likeness.unknown_client"

App = Callable[[Any, Any, Any], Awaitable[None]]


class Forwarded:
    """An ASGI application before another, which sees the client and the scheme that trusted proxies report."""

    def __init__(self, app: App, proxies: Sequence[str]) -> None:
        """`proxies` are addresses and networks, or `*` alone. Raises ValueError for anything else."""
        self._app = app
        self._any = tuple(proxies) == (ANY_PEER,)
        self._networks = () if self._any else tuple(map(parse_network, proxies))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request; ASGI's entry point."""
        if self._any or self._is_proxy(scope["client"]):
            self._apply(scope)
        await self._app(scope, receive, send)

    def _is_proxy(self, peer: tuple[str, int] | None) -> bool:
        return peer is not None and self._trusts(parse_address(peer[0]))

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _apply(self, scope: Any) -> None:
        protocols = _entries(scope, b"x-forwarded-proto")
        if protocols:
            scope["scheme"] = "https" if protocols[-1].lower() == "https" else "http"
        clients = _entries(scope, b"x-forwarded-for")
        if clients:
            try:
                scope["client"] = (str(self._client(clients)), 0)
            except ValueError:
                shown = brief(clients[-1])
                scope[UNKNOWN_CLIENT] = f"X-Forwarded-For of a trusted proxy names a client without an address: {shown}"

    def _client(self, entries: Sequence[str]) -> Address:
        """Raises ValueError for an entry that counts and is not an IP address."""
        for entry in reversed(entries):
            address = _address_of(entry)
            if self._any or not self._trusts(address):
                return address
        return address  # the client is a trusted proxy itself


def _entries(scope: Any, header: bytes) -> list[str]:
    """The comma-separated entries of all headers of that name; none where they are empty."""
    text = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == header)
    return [entry.strip() for entry in text.split(",")] if text.strip(" \t,") else []


def _address_of(entry: str) -> Address:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`, without a zone.

    Raises ValueError for anything else.
    """
    with_port = re.fullmatch(r"\[([^]]*)\](?::[0-9]+)?|([^:]*):[0-9]+", entry)
    address = (with_port[1] or with_port[2] or "") if with_port else entry
    return parse_address(address.partition("%")[0])
