"""Which client and scheme are believed of what X-Forwarded-For and X-Forwarded-Proto say."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from likeness.aws.keys import Key
from likeness.aws.signature import Identity
from likeness.server.forwarded import UNKNOWN_CLIENT, Forwarded
from likeness.server.request_context import RequestContext

ANY, ONE, NETWORK = ("*",), ("10.0.0.1",), ("10.0.0.0/8", "2001:db8:ffff::/48")


def seen(proxies: Sequence[str], peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    """The scope that the application gets."""
    scopes: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: object, send: object) -> None:
        scopes.append(scope)

    scope = {
        "client": peer and (peer, 4711),
        "scheme": "http",
        "headers": [(f"x-forwarded-{name}".encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(Forwarded(app, proxies)(scope, None, None))
    return scopes[0]


@pytest.mark.parametrize(
    ("proxies", "peer", "values", "client"),
    [
        (ANY, None, ["203.0.113.7"], "203.0.113.7"),
        # A proxy has appended to what the client claims.
        (ANY, None, ["192.0.2.1, 10.0.0.5"], "10.0.0.5"),
        (ANY, None, ["192.0.2.1", "10.0.0.5"], "10.0.0.5"),
        (ANY, None, ["unknown, 10.0.0.5"], "10.0.0.5"),
        (ANY, "10.0.0.1", ["192.0.2.1, 10.0.0.5"], "10.0.0.5"),
        (ANY, "10.0.0.1", [""], "10.0.0.1"),
        (ANY, None, [], None),
        (ONE, "10.0.0.1", ["192.0.2.1, 203.0.113.7"], "203.0.113.7"),
        (ONE, "10.0.0.2", ["203.0.113.7"], "10.0.0.2"),
        (ONE, None, ["203.0.113.7"], None),
        (ONE, "::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        (("::ffff:10.0.0.0/104",), "10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        (NETWORK, "10.0.0.1", ["192.0.2.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (NETWORK, "2001:db8:ffff::1", ["203.0.113.7,2001:db8:ffff::2"], "203.0.113.7"),
        (NETWORK, "10.0.0.1", ["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        (ANY, None, ["203.0.113.7:4711"], "203.0.113.7"),
        (ANY, None, ["[2001:db8::1]:443"], "2001:db8::1"),
        (ANY, None, ["[2001:db8::1]"], "2001:db8::1"),
        (ANY, None, ["2001:db8::1%eth0"], "2001:db8::1"),
        (ANY, None, ["::ffff:203.0.113.7"], "203.0.113.7"),
    ],
)
def test_the_client_is_the_last_that_a_trusted_proxy_names(
    proxies: Sequence[str], peer: str | None, values: list[str], client: str | None
) -> None:
    scope = seen(proxies, peer, *[("for", value) for value in values])
    assert (scope["client"] or [None])[0] == client
    assert UNKNOWN_CLIENT not in scope


@pytest.mark.parametrize(
    "value", ['"10.0.0.5"', "unknown", "010.0.0.5", "10.0.0.5,", "10.0.0.5 x", "unix:", "10.0.0.5:x", "[::1", "1:2"]
)
def test_a_client_without_an_address_is_refused(value: str) -> None:
    """A policy could neither deny nor allow it."""
    for proxies in (ANY, ONE):
        scope = seen(proxies, "10.0.0.1", ("for", value))
        assert "names a client without an address" in scope[UNKNOWN_CLIENT]
    assert UNKNOWN_CLIENT not in seen(ONE, "10.0.0.2", ("for", value))


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        (["http"], "http"),
        (["https, http"], "http"),
        (["https", "http"], "http"),
        (["wss"], "http"),
        ([], "http"),
    ],
)
def test_the_scheme_is_the_last_that_a_trusted_proxy_names(values: list[str], scheme: str) -> None:
    headers = [("proto", value) for value in values]
    assert seen(ANY, None, *headers)["scheme"] == scheme
    assert seen(ONE, "10.0.0.2", *headers)["scheme"] == "http"


def test_any_peer_is_trusted_only_if_none_is_named() -> None:
    for proxies in (("*", "10.0.0.1"), ("10.0.0.1", "*"), ("*", "*")):
        with pytest.raises(ValueError, match=r"\*"):
            seen(proxies, None)


def test_addresses_of_one_host_share_and_so_do_sessions_of_one_key() -> None:
    """What a request takes before its key is known; the log and the policies have the address."""
    contexts = [RequestContext("POST", "/", "", (), f"2001:db8:1:1::{n}", secure=False) for n in (1, 2)]
    assert {context.network for context in contexts} == {context.caller for context in contexts}
    assert {context.caller for context in contexts} == {"2001:db8:1:1::/64"}
    key = Key("ASIA", "secret", "kiosk", "000000000000", (), parent="AKIA")
    contexts[0].identity = Identity(key, "us-east-1")
    assert contexts[0].caller == "AKIA"
    assert [context.policy_context.source_ip for context in contexts] == ["2001:db8:1:1::1", "2001:db8:1:1::2"]
