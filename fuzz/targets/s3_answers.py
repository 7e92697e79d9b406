"""What an S3 answers, as raw HTTP, to HEAD, GET and a listing: read by botocore with the project's limits.

The input is the answers in order, one for each connection; the last one is repeated. An answer and the end of the
connection lie in a pair of sockets before the request is sent, so that nothing waits for a peer.
"""

import socket
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from fuzz.target import Target
from likeness.errors import InternalFailure, RequestError
from likeness.sources import bounded_http
from likeness.sources.s3 import S3Store
from likeness.sources.store import StoreSettings

SEPARATOR = b"\n%%\n"
SECONDS = 1.0
MOST_BYTES = 1 << 20
#: The answers that are left, in order.
ANSWERS: list[bytes] = []


class _Connection(bounded_http._HTTPConnection):
    """A connection whose whole answer has arrived."""

    def _new_conn(self) -> socket.socket:
        ours, self._peer = socket.socketpair()  # kept open: the request is written to it
        self._peer.sendall(ANSWERS.pop(0) if len(ANSWERS) > 1 else ANSWERS[0])
        self._peer.shutdown(socket.SHUT_WR)
        return ours

    def close(self) -> None:
        super().close()
        if hasattr(self, "_peer"):
            self._peer.close()


class _Pool(bounded_http._HTTPPool):
    ConnectionCls = _Connection


@cache
def store() -> S3Store:
    """A store whose connections are answered by `ANSWERS`."""
    made = S3Store(
        StoreSettings(
            endpoint_url="http://127.0.0.1:1",
            region="us-east-1",
            access_key_id="a",
            secret_access_key="b",
            attempts=1,
            read_timeout_seconds=SECONDS,
        )
    )
    client: Any = made._connected("", 0.0)
    client._endpoint.http_session._pool_classes_by_scheme["http"] = _Pool
    return made


def run(data: bytes) -> None:
    """Reads an object, then lists; both end with the service's error at worst."""
    answers = data.split(SEPARATOR)
    calls: Sequence[Callable[[], object]] = (
        lambda: store().fetch("photos", "a.jpg", None, max_bytes=MOST_BYTES, deadline=time.monotonic() + SECONDS),
        lambda: [each for each, _ in zip(store().objects("photos", ""), range(5000), strict=False)],
    )
    for call in calls:
        ANSWERS[:] = answers
        try:
            call()
        except InternalFailure:
            raise
        except RequestError as error:
            assert error.http_status < 500, error
            str(error).encode("utf-8", "surrogateescape")


def _response(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


def seeds() -> list[bytes]:
    """An object with its HEAD, a listing in two pages, and errors."""
    xml = b'<?xml version="1.0" encoding="UTF-8"?>'
    page = xml + b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>%s</IsTruncated>'
    page += b"<Contents><Key>a%%20b.jpg</Key><Size>3</Size><ETag>&quot;x&quot;</ETag>"
    page += b"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>%s</ListBucketResult>"
    pages = [
        page % (b"true", b"<NextContinuationToken>t</NextContinuationToken><EncodingType>url</EncodingType>"),
        page % (b"false", b""),
    ]
    error = xml + b"<Error><Code>NoSuchKey</Code><Message>no</Message><Key>a.jpg</Key></Error>"
    whole = b'ETag: "x"\r\nx-amz-checksum-crc32: AAAAAA==\r\nLast-Modified: Tue, 10 Jul 2018 07:17:14 GMT\r\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n%s\r\n" % whole
    return [
        SEPARATOR.join((head, _response(b"abc", headers=whole))),
        SEPARATOR.join(map(_response, pages)),
        _response(error, b"404 Not Found"),
        _response(b"", b"301 Moved Permanently", b"Location: http://127.0.0.1:1/\r\nx-amz-bucket-region: a\r\n"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]


TARGET = Target(
    run,
    (),
    seeds,
    tokens=(
        *(b"HTTP/1.1 ", b"HTTP/0.9 ", b"200", b"301", b"503 Slow Down", b"\r\n\r\n", b"Content-Length: ", SEPARATOR),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Content-Encoding: zstd\r\n",
            b"<Error><Code>",
        ),
        *(
            b"<!DOCTYPE a [<!ENTITY b '" + b"b" * 50 + b"'>]>",
            b"&b;" * 20,
            b"<![CDATA[",
            b"</",
            b"<Contents>",
            b"<Key/>",
        ),
        *(
            b"<IsTruncated>true</IsTruncated>",
            b"<NextContinuationToken>x</NextContinuationToken>",
            b"x-amz-checksum-crc32: ",
        ),
        *(b"x-amz-missing-meta: x\r\n", b"x-amz-delete-marker: maybe\r\n", b"Last-Modified: x\r\n", b"Expires: x\r\n"),
    ),
    max_bytes=8192,
)
