"""asyncio's TLS for a server, with smaller buffers, and for clients that end their sending side and then read."""

import asyncio
import ssl
from asyncio.sslproto import AppProtocolState, SSLProtocol

#: What is read at once, into a buffer that a connection has as long as it lives; with asyncio's own 256 KiB an idle
#: connection takes 300 KB.
_READ_BYTES = 64 * 1024


class TlsConnection(SSLProtocol):
    """TLS between a transport and an application's protocol.

    asyncio answers a client's close_notify by closing the connection. Here it stays open, as a TCP connection does, if
    the application's `eof_received` returns True.
    """

    max_size = _READ_BYTES
    _is_half_closed = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        handshake_seconds: float,
    ) -> None:
        #: Done when the handshake is; raises OSError when it fails.
        self.handshake: asyncio.Future[None] = loop.create_future()
        super().__init__(
            loop,
            protocol,
            context,
            self.handshake,
            server_side=True,
            ssl_handshake_timeout=handshake_seconds,  # type: ignore[arg-type]
        )

    def _call_eof_received(self) -> None:
        if self._app_state is AppProtocolState.STATE_CON_MADE:  # type: ignore[has-type]
            self._app_state = AppProtocolState.STATE_EOF
            self._is_half_closed = bool(self._app_protocol.eof_received())  # type: ignore[attr-defined]

    def _start_shutdown(self) -> None:
        """Called upon the client's close_notify, and when the application closes its transport."""
        if not self._awaits_answer:
            super()._start_shutdown()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The end of the TCP stream; without a close_notify before, it is the end of the connection."""
        return True if self._awaits_answer else super().eof_received()

    @property
    def _awaits_answer(self) -> bool:
        transport: asyncio.Transport | None = self._app_transport
        return self._is_half_closed and transport is not None and not transport.is_closing()
