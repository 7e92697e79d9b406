"""One HTTP connection: uvicorn's h11 protocol with additional limits.

The size of a request's head is limited while it arrives, there are timeouts for it and for clients that do not read,
and a client that has closed only its sending side gets its response.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from likeness.server.accepting import Connections

#: What h11 parses of a head at a time; with the limit below, this bounds the time spent on one head.
_HEAD_PIECE_BYTES = 4 * 1024
_CHUNKED_PIECE_BYTES = 16 * 1024
#: How many bytes a chunked body may have beside its data, chunk sizes and the like: this, and a part of the data, which
#: asks for some 200 bytes a chunk. Each costs the event loop some 6 microseconds: of one byte, 500 times a normal body.
_FRAMING_BYTES, _FRAMING_SHARE = 4 * 1024, 32
#: The request line and the headers together; with more, the response is 431 and the connection is closed.
MAX_HEAD_BYTES = 16 * 1024
#: What is read from a socket at once, and so what a connection may buffer before the application reads the body: more
#: of a body of known length while few bodies arrive, as each piece takes a turn of the event loop.
_READ_BYTES, _LARGE_READ_BYTES, _LARGE_READERS = 64 * 1024, 256 * 1024, 32
#: How every response begins. Sent early to a client that has closed its sending side, it shows whether it still reads.
_STATUS_LINE_BEGINS = b"HTTP/1.1 "
_CONTINUE_BEGINS = b"HTTP/1.1 100 "
_PROBE_SECONDS = 0.05
#: The key in an ASGI scope for the status and the reason of a request that is refused while its body arrives.
MALFORMED = "likeness.malformed"
#: The key in an ASGI scope for the connection, as `Connections` knows it.
CONNECTION = "likeness.connection"


class HttpConnection(H11Protocol):
    """uvicorn's connection with limits. The public class attributes are set for each server (see `serving`)."""

    header_seconds = 10.0
    write_seconds = 60.0
    #: Records whether a connection waits for its client's next request, and when it is closed.
    open_connections: Connections
    #: Called with the client's address, the status and the reason when a request is not valid HTTP.
    on_malformed: Callable[[str | None, int, str], None]

    _header_alarm: asyncio.TimerHandle | None = None
    _write_alarm: asyncio.TimerHandle | None = None
    _probe: asyncio.TimerHandle | None = None
    _has_ended = False
    _body_left = 0
    _data_bytes = _framing_bytes = 0
    _prepared: RequestResponseCycle | None = None
    _response: "_ResponseTransport"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._held = bytearray()
        super().connection_made(transport)
        # With these limits, the client counts as not reading as soon as the kernel takes no more of an answer.
        transport.set_write_buffer_limits(high=1, low=0)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if not self._held and self.conn.their_state is h11.SEND_BODY and len(data) <= self._body_left:
            self._body_left -= len(data)
            super().data_received(data)
        else:
            self._held += data
            self._feed()
        self._watch()

    def _feed(self) -> None:
        """Passes received bytes to h11: heads in small pieces, and the next request only after the current response."""
        self._prepare()
        while self._held and not self.transport.is_closing():
            state = self.conn.their_state
            if state is h11.IDLE:
                if self._held[0] in b"\r\n" and not self.conn.trailing_data[0]:
                    self._held = self._held.lstrip(b"\r\n")  # allowed before a request line (RFC 9112, 2.2)
                    continue
                size = _HEAD_PIECE_BYTES
            elif state is h11.SEND_BODY:
                size = self._body_left or _CHUNKED_PIECE_BYTES
                self._body_left = max(0, self._body_left - len(self._held))
            else:
                self.flow.pause_reading()
                return
            piece = bytes(self._held[:size])
            del self._held[:size]
            if state is h11.SEND_BODY and size == _CHUNKED_PIECE_BYTES:
                self._receive_chunks(piece)
            else:
                super().data_received(piece)
            self._prepare()

    def _receive_chunks(self, piece: bytes) -> None:
        """Passes a part of a chunked body to h11, and refuses one of tiny chunks."""
        before = len(self.cycle.body)
        super().data_received(piece)
        data = len(self.cycle.body) - before
        self._data_bytes += data
        self._framing_bytes += len(piece) - data
        if self._framing_bytes > _FRAMING_BYTES + self._data_bytes // _FRAMING_SHARE and not self._is_idle:
            self._refuse(400, "the chunks of the body are too small")

    def _prepare(self) -> None:
        """Prepares a new request's response, and notes how much of its body is to come; `cycle.body` has the rest."""
        if self.cycle is not self._prepared:
            self._prepared = self.cycle
            self._response = _ResponseTransport(self.transport)
            self.cycle.transport = self._response  # type: ignore[assignment]
            cast("dict[str, object]", self.cycle.scope)[CONNECTION] = self  # its task has not begun
            self._body_left = max(0, _content_length(self.headers) - len(self.cycle.body))
            self._data_bytes = self._framing_bytes = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._feed()
        if self._has_ended and not self.transport.is_closing() and not self.eof_received():
            self.transport.close()
        self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection open when the client has sent a complete request; an incomplete one is refused."""
        self._has_ended = True
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole and not self._is_idle and (self._held or self.conn.trailing_data[0]):
            return True  # the next request is handled first
        part_of_head = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        part_of_body = self.conn.their_state is h11.SEND_BODY and not self._is_idle
        if part_of_head or part_of_body:
            super().data_received(b"")
        if self._is_idle or not whole:
            return False
        self.cycle.keep_alive = False
        if self.cycle.response_started or self._response.has_begun:
            return True
        # The end of a half-closed connection looks like that of a closed one until something is sent.
        self._response.begin()
        self._probe_peer()
        return True

    def _probe_peer(self) -> None:
        """Detects a reset by the peer, which asyncio misses because it stops reading at the end of the stream."""
        connection = self.transport.get_extra_info("socket")
        if self.transport.is_closing() or connection is None:
            return
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        self._probe = self.loop.call_later(_PROBE_SECONDS, self._probe_peer)

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn while it handles an error of h11, which holds the reason."""
        error = sys.exc_info()[1]
        # h11 quotes the refused bytes, which may be anything.
        reason = str(error or msg).partition(": bytearray(")[0]
        self._refuse(error.error_status_hint if isinstance(error, h11.ProtocolError) else 400, reason)

    def _refuse(self, status: int, reason: str) -> None:
        if not self._is_idle:
            # The application logs the request; its own response would come too late.
            cast("dict[str, object]", self.cycle.scope)[MALFORMED] = (status, reason)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self.conn.our_state is h11.IDLE:  # otherwise it is the body of a request that is answered already
            type(self).on_malformed(self.client[0] if self.client else None, status, reason)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            response = h11.Response(status_code=status, headers=headers, reason=b"")
            self.transport.write(self.conn.send(response) + self.conn.send(h11.EndOfMessage()))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Ignores offers of HTTP/2 and WebSocket, as HTTP allows; uvicorn would log advice to install them."""

    def pause_writing(self) -> None:
        super().pause_writing()
        # The client does not read, and a normal close would wait until it does.
        self._write_alarm = self.loop.call_later(self.write_seconds, self.transport.abort)
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_alarm is not None:
            self._write_alarm.cancel()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_connections.remove(self)
        for alarm in (self._header_alarm, self._write_alarm, self._probe):
            if alarm is not None:
                alarm.cancel()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def _watch(self) -> None:
        """Runs the header timeout while a request is incomplete, or until a new connection sends its first one."""
        idle = self._is_idle
        receiving = not idle and self.conn.their_state is h11.SEND_BODY
        self.open_connections.note(self, silent=idle, receiving=receiving, reads=not self.flow.write_paused)
        if hasattr(self.transport, "max_size"):
            large = self._body_left and self.open_connections.receiving <= _LARGE_READERS
            self.transport.max_size = _LARGE_READ_BYTES if large else _READ_BYTES
        resting = idle and self.timeout_keep_alive_task is not None
        if not idle or resting:
            if self._header_alarm is not None:
                self._header_alarm.cancel()
                self._header_alarm = None
        elif self._header_alarm is None:
            self._header_alarm = self.loop.call_later(self.header_seconds, self._end_silence)

    def _end_silence(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, "the request line and headers did not arrive in time: see header_timeout_seconds")
        else:
            self.timeout_keep_alive_handler()


class _ResponseTransport:
    """The transport of one response. Its head goes with the beginning of its body, as each write wakes the client."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self._has_sent_head = False
        self.has_begun = False

    def begin(self) -> None:
        """Sends the beginning of the status line now."""
        self.has_begun = True
        self._transport.write(_STATUS_LINE_BEGINS)

    def write(self, data: bytes) -> None:
        if self._has_sent_head or data.startswith(_CONTINUE_BEGINS):
            self._transport.write(data)
        elif self._head is None:
            self._head = data.removeprefix(_STATUS_LINE_BEGINS) if self.has_begun else data
        else:
            self._has_sent_head = True
            self._transport.write(self._head + data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _content_length(headers: list[tuple[bytes, bytes]]) -> int:
    """The Content-Length, which h11 has checked; 0 without one, or where Transfer-Encoding overrides it."""
    if any(name == b"transfer-encoding" for name, _ in headers):
        return 0
    return next((int(value) for name, value in headers if name == b"content-length"), 0)
