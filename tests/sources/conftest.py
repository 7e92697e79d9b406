"""A real S3 server on loopback (moto), and servers that misbehave."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "photos-test"
CREDENTIALS = {"access_key_id": "test", "secret_access_key": "test"}


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of a running S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_admin(s3_url: str) -> Any:
    """A client that fills the S3 server; the bucket BUCKET is there, with versions kept."""
    client = botocore.session.Session().create_client(
        "s3", endpoint_url=s3_url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def misbehaving() -> Iterator[Callable[[Callable[[socket.socket, int], None]], str]]:
    """Starts a server that hands each connection, with its number from 0, to a function; returns its address."""
    with contextlib.ExitStack() as stack:

        def start(handle: Callable[[socket.socket, int], None]) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stopping = threading.Event()

            def accept() -> None:
                number = 0
                while not stopping.is_set():
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    threading.Thread(target=_handle, args=(handle, connection, number), daemon=True).start()
                    number += 1

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            stack.callback(stopping.set)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


def _handle(handle: Callable[[socket.socket, int], None], connection: socket.socket, number: int) -> None:
    with connection, contextlib.suppress(OSError):
        handle(connection, number)
