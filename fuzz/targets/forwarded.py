"""X-Forwarded-For and X-Forwarded-Proto of a trusted proxy, and the decisions about a caller that follow from them.

An input is lines of these headers, each without X-Forwarded-. `http_request` has them in whole requests.
"""

from typing import Any

from fuzz.target import Target
from likeness.aws.addresses import parse_address
from likeness.aws.policy import Policy, decide
from likeness.server.forwarded import UNKNOWN_CLIENT, Forwarded
from likeness.server.request_context import RequestContext

PEER = "10.0.0.1"
#: A Unix socket's, which have no address, one address, and networks; the last does not have the peer's.
PROXIES = (("*",), (PEER,), ("10.0.0.0/8", "2001:db8::/32"), ("192.0.2.0/24",))
INSIDE = Policy.load(
    {
        "Statement": {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*",
            "Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}},
        }
    }
)


def run(data: bytes) -> None:
    """The client is an address, or the request is refused; only a trusted peer's headers are looked at."""
    lines = [line.partition(b":") for line in data.split(b"\n")]
    headers = [(b"x-forwarded-proto" if name == b"proto" else b"x-forwarded-for", value) for name, _, value in lines]
    for proxies in PROXIES:
        scope = _seen(proxies, headers)
        assert scope["scheme"] in ("http", "https")
        context = RequestContext.of(scope)
        assert context.client is not None
        assert str(parse_address(context.client)) == context.client
        assert context.network
        decide((INSIDE,), "a", "*", context.policy_context)
        if UNKNOWN_CLIENT in scope:
            assert context.client == PEER
            assert len(scope[UNKNOWN_CLIENT]) < 200
        if proxies is PROXIES[-1]:
            assert (context.client, scope["scheme"], UNKNOWN_CLIENT in scope) == (PEER, "http", False)


def _seen(proxies: tuple[str, ...], headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The ASGI scope that the application gets."""
    scope = {
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "client": (PEER, 4711),
        "scheme": "http",
        "headers": headers,
    }
    seen: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: object, send: object) -> None:
        seen.append(scope)

    asking = Forwarded(app, proxies)(scope, None, None)
    try:
        asking.send(None)
    except StopIteration:  # nothing is waited for
        return seen[0]
    raise AssertionError("it waits")


def seeds() -> list[bytes]:
    """Headers as proxies write them."""
    return [
        b"for: 203.0.113.7\nproto: https",
        b"for: 192.0.2.1, 203.0.113.7:4711, 10.0.0.9\nproto: https, http",
        b"for: 192.0.2.1\nfor: [2001:db8::1]:443\nproto: HTTPS",
        b"for: unknown, ::ffff:203.0.113.7%eth0",
    ]


TARGET = Target(
    run,
    (),
    seeds,
    tokens=(
        *(b"for:", b"proto:", b"\n", b",", b"[", b"]", b":443", b"%", b"::", b"::ffff:", b"fe80::1%1", b"0x7f.1"),
        *(b"127.0.0.1", b"010.0.0.1", b"1.2.3", b"unknown", b"_hidden", b"unix:", b'"', b"\xb2", b"\xff", b"/8", b"\t"),
    ),
    max_bytes=1024,
)
