"""`aws:SecureTransport` from outside: over TLS, and over a connection of a proxy that has ended the client's TLS."""

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from likeness.aws.keys import Record, create_key

from .conftest import HEADERS, Serve

Condition = Mapping[str, Mapping[str, str]]
ALLOW = {"Effect": "Allow", "Action": "rekognition:CompareFaces", "Resource": "*"}
SECURE, INSECURE = {"Bool": {"aws:SecureTransport": "true"}}, {"Bool": {"aws:SecureTransport": "false"}}
POLICIES: dict[str, list[dict[str, Any]]] = {
    "allowed over TLS": [ALLOW | {"Condition": SECURE}],
    "allowed without TLS": [ALLOW | {"Condition": INSECURE}],
    "denied without TLS": [ALLOW, ALLOW | {"Effect": "Deny", "Condition": INSECURE}],
}
#: An empty request that is allowed is refused for its members.
ALLOWED, DENIED = "ValidationException", "AccessDeniedException"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Record]]:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    return path, {name: create_key(path, "user", policy={"Statement": each}) for name, each in POLICIES.items()}


def error_of(connection: http.client.HTTPConnection, key: Record, **headers: str) -> str:
    host = f"localhost:{connection.port}"
    added = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("POST", f"http://{host}/", HEADERS, b"{}")
    SigV4Auth(Credentials(key.id, key.secret), "rekognition", "us-east-1").add_auth(request)
    connection.request("POST", "/", b"{}", dict(request.headers) | {"Host": host} | added)
    error: str = json.loads(connection.getresponse().read())["__type"]
    return error


def decisions(connect: Callable[[], http.client.HTTPConnection], keys: dict[str, Record], **headers: str) -> list[str]:
    connection = connect()
    try:
        return [error_of(connection, key, **headers) for key in keys.values()]
    finally:
        connection.close()


def test_over_tls(serve: Serve, certificate: tuple[Path, Path], keys: tuple[Path, dict[str, Record]]) -> None:
    tls = ["--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1])]
    server = serve("--keys", str(keys[0]), *tls)
    context = ssl.create_default_context(cafile=str(certificate[0]))

    def connect() -> http.client.HTTPConnection:
        return http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)

    assert decisions(connect, keys[1]) == [ALLOWED, DENIED, ALLOWED]
    # Nobody is believed who says that it was otherwise.
    assert decisions(connect, keys[1], X_Forwarded_Proto="http") == [ALLOWED, DENIED, ALLOWED]


def test_without_tls(serve: Serve, keys: tuple[Path, dict[str, Record]]) -> None:
    server = serve("--keys", str(keys[0]))
    assert decisions(server.connect, keys[1]) == [DENIED, ALLOWED, DENIED]
    # The client claims TLS, but it is no proxy that is trusted.
    assert decisions(server.connect, keys[1], X_Forwarded_Proto="https") == [DENIED, ALLOWED, DENIED]


def test_behind_a_trusted_proxy(serve: Serve, keys: tuple[Path, dict[str, Record]]) -> None:
    server = serve("--keys", str(keys[0]), "--trusted-proxies", "127.0.0.1")
    forwarded = {"X_Forwarded_For": "203.0.113.7"}
    assert decisions(server.connect, keys[1], **forwarded, X_Forwarded_Proto="https") == [ALLOWED, DENIED, ALLOWED]
    assert decisions(server.connect, keys[1], **forwarded, X_Forwarded_Proto="http") == [DENIED, ALLOWED, DENIED]
