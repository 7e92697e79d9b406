"""`likeness serve --probe`: whether the server with these settings is ready, as a health check of a container."""

import socket
import ssl
from http.client import HTTPConnection, HTTPException

from likeness.server.settings import Settings

_TIMEOUT_SECONDS = 5.0
#: What is shown of the answer of a server that is not ready.
_SHOWN_BYTES = 1000
#: Where a server is reached that listens on all addresses.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def probe(settings: Settings) -> str:
    """Asks for `/readyz` at the configured address. Returns why the server is not ready; empty if it is."""
    connection = HTTPConnection("localhost")
    try:
        with _connected(settings) as connection.sock:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            shown = answer.read(_SHOWN_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no name of a host or of a file
        place = settings.unix_socket or f"{settings.host}, port {settings.port}"
        return f"the server on {place} does not answer: {error}"
    return "" if answer.status == 200 else f"the server is not ready: {answer.status} {shown}"


def _connected(settings: Settings) -> socket.socket:
    if settings.unix_socket is not None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT_SECONDS)
        try:
            connection.connect(str(settings.unix_socket))
        except OSError:
            connection.close()
            raise
        return connection
    address = _LOOPBACK.get(settings.host, settings.host), settings.port
    connection = socket.create_connection(address, timeout=_TIMEOUT_SECONDS)
    if settings.tls_certificate is None:
        return connection
    # The certificate names what clients call the server, not this address; nothing secret is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)
