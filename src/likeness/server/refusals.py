"""Refusals at the HTTP level, before the service's protocol. Each closes the connection."""

import re
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from likeness.aws.protocol import WireResponse
from likeness.server.connections import MAX_HEAD_BYTES
from likeness.server.forwarded import UNKNOWN_CLIENT

#: The most header lines of a request.
MAX_HEADERS = 100
#: The most segments of a path and parameters of a query, together: decoding 16 KiB of them takes the event loop 20 ms.
MAX_PARTS = 100
#: The characters of a host and its port (RFC 3986, section 3.2.2).
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")


def refuse(status: int, request_id: str, reason: str) -> WireResponse:
    """An empty response that closes the connection. The reason is for the log."""
    date = formatdate(usegmt=True)
    headers = (("x-amzn-RequestId", request_id), ("Date", date), ("Content-Length", "0"), ("Connection", "close"))
    return WireResponse(status, headers, b"", reason)


def check_head(scope: Mapping[str, Any]) -> tuple[int, str] | None:
    """The status and the reason if a request is refused by its line and headers (an ASGI scope); otherwise None."""
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS:
        return 431, f"{len(headers)} headers, more than {MAX_HEADERS}"
    query = scope["query_string"]
    size = len(scope["method"]) + len(scope["raw_path"]) + len(query) + bool(query) + len("  HTTP/1.1\r\n\r\n")
    size += sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
    if size > MAX_HEAD_BYTES:
        return 431, f"the request's line and headers have {size} bytes, more than {MAX_HEAD_BYTES}"
    parts = scope["raw_path"].count(b"/") + query.count(b"&")
    if parts > MAX_PARTS:
        return 431, f"{parts} segments of the path and parameters of the query, more than {MAX_PARTS}"
    if not scope["http_version"].startswith("1."):
        return 505, f"HTTP/{scope['http_version']} is not supported"
    if not scope["raw_path"].startswith(b"/") and scope["method"] not in ("CONNECT", "OPTIONS"):
        return 400, "the target on the request line is neither a path nor an http URL"
    names = dict(headers)
    if not _HOST.fullmatch(names.get(b"host", b"")):
        return 400, "the Host header is not a host"
    if b"content-length" in names and b"transfer-encoding" in names:
        return 400, "both Content-Length and Transfer-Encoding: the end of the body is ambiguous (RFC 9112)"
    if UNKNOWN_CLIENT in scope:
        return 400, scope[UNKNOWN_CLIENT]
    return None


def to_origin_form(scope: dict[str, Any]) -> None:
    """Replaces an absolute URL on the request line by its path, as every server must (RFC 9112, section 3.2.2)."""
    target = scope["raw_path"].decode("ascii")
    if target.startswith("/"):
        return
    try:
        parts = urlsplit(target)
    except ValueError:  # brackets without an IP address
        return
    if parts.scheme in ("http", "https") and parts.netloc:
        scope["raw_path"] = parts.path.encode() or b"/"
        scope["path"] = unquote(parts.path) or "/"


def segments(path: str) -> tuple[str, ...]:
    """The decoded segments of a path, without empty and dot segments (RFC 3986, section 6.2.2)."""
    kept: list[str] = []
    for segment in map(unquote, path.split("/")):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return tuple(kept)
