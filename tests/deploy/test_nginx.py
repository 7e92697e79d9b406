"""The shipped nginx settings, with nginx itself: large signed requests pass, metrics, floods and forgeries do not."""

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from tests.deploy.conftest import DEPLOY
from tests.listening import START_SECONDS, address_of, exit_code
from tests.server.conftest import HEADERS, Answer, free_port, make_certificate, read_answer, wait_for

from likeness.aws.keys import Record, create_key

pytestmark = pytest.mark.engine

MOST_INLINE_BYTES = 5_242_880
CONFIGURATION = (DEPLOY / "nginx.conf").read_text("utf-8")
#: What OpenSSL allows at its lowest level, so that the versions offered decide about a handshake and nothing else does.
ANY_CIPHER = "DEFAULT:@SECLEVEL=0"
ONLY_OVER_TLS = {
    "Effect": "Allow",
    "Action": "rekognition:CompareFaces",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "true"}},
}


@dataclass
class Front:
    """A running nginx before a server that also answers below /faces, and whose key compares over TLS only."""

    port: int
    certificate: Path
    key: Record
    server: "subprocess.Popen[bytes]"
    access_log: Path

    def status(self, path: str) -> int:
        context = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with urllib.request.urlopen(f"https://localhost:{self.port}{path}", context=context, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def post(self, source: str = "127.0.0.1", **headers: str) -> Answer:
        """The answer to a request without a body and with further headers, from an address."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=context, timeout=60, source_address=(source, 0)
        )
        sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request("POST", "/", headers=sent)
            return read_answer(connection)

    def handshake(self, version: ssl.TLSVersion) -> str | None:
        """The version that a client gets which offers only this one; ssl.SSLError if it gets none."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.set_ciphers(ANY_CIPHER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        with plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
            return connection.version()

    def ask(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection from an address, on which a request has been sent."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # after the handshake nothing arrives but the answer
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0))
        connection = context.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection


@pytest.fixture(scope="module")
def front(standard_pack: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    certificate, secret = make_certificate(folder)
    keys = folder / "keys.json"
    key, port = create_key(keys, user="tester", policy={"Statement": [ONLY_OVER_TLS]}), free_port()
    log, access_log = folder / "stderr", folder / "access.jsonl"
    command = [Path(sys.executable).parent / "likeness", "serve", "--port", "0", "--access-log", access_log]
    # The callers' network is trusted, as that of the pods is in Kubernetes.
    command += ["--keys", keys, "--trusted-proxies", "127.0.0.0/8", "--path-prefix", "/faces"]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ended(command, log))
        upstream = urlsplit(address_of(server, log)).netloc
        (folder / "nginx.conf").write_text(adapted(folder, upstream, port, certificate, secret))
        proxy = subprocess.Popen([program, "-e", "stderr", "-p", folder, "-c", "nginx.conf", "-g", "daemon off;"])
        stack.callback(proxy.wait, timeout=60)
        stack.callback(proxy.terminate)
        wait_until_it_answers(proxy, port)
        yield Front(port, certificate, key, server, access_log)


@contextlib.contextmanager
def ended(command: Sequence[str | Path], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A server that has ended as it should afterwards."""
    with log.open("wb") as stream:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream)
    try:
        yield server
    finally:
        server.terminate()
        assert exit_code(server, log) == 0


def adapted(folder: Path, upstream: str, port: int, certificate: Path, secret: Path) -> str:
    """The shipped settings with the places of this test."""
    settings = CONFIGURATION
    changed = {
        "server likeness:8080;": f"server {upstream};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl; ssl_ciphers {ANY_CIPHER};",
        "/etc/nginx/tls/cert.pem": str(certificate),
        "/etc/nginx/tls/key.pem": str(secret),
        "/run/nginx.pid": str(folder / "nginx.pid"),
    }
    for old, new in changed.items():
        assert old in settings
        settings = settings.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # folders that it makes at start
    paths = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    settings = settings.replace("http {\n", f"http {{\n{paths}", 1)
    return f"user root;\n{settings}" if os.getuid() == 0 else settings


def test_signed_requests_pass(portraits: dict[str, Path], front: Front) -> None:
    client = boto3.client(
        "rekognition",
        endpoint_url=f"https://localhost:{front.port}",
        region_name="us-east-1",
        aws_access_key_id=front.key.id,
        aws_secret_access_key=front.key.secret,
        verify=str(front.certificate),
    )
    largest = {"Bytes": portraits["obama.jpg"].read_bytes().ljust(MOST_INLINE_BYTES, b"\0")}
    for _ in range(2):
        answer = client.compare_faces(SourceImage=largest, TargetImage=largest)
        assert len(answer["FaceMatches"]) == 1


def test_the_server_sees_the_clients_address_and_not_what_it_claims(front: Front) -> None:
    assert front.post("127.0.0.2", X_Forwarded_For="203.0.113.9", User_Agent="forger").status == 400  # unsigned
    wait_for(lambda: "forger" in front.access_log.read_text())
    records = map(json.loads, front.access_log.read_text().splitlines())
    assert [each["client"] for each in records if each["user_agent"] == "forger"] == ["127.0.0.2"]


def test_a_body_beyond_two_photos_does_not_reach_the_server(front: Front) -> None:
    answer = front.post(Content_Length=str(17 * 2**20))
    assert answer.status == 413
    assert b"nginx" in answer.body  # the server's own has no body


def test_only_tls_1_2_and_newer_is_spoken(front: Front) -> None:
    assert front.handshake(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert front.handshake(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    for older in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError) as refused:
            front.handshake(older)
        # Where the client's own OpenSSL cannot offer it, the directive itself is what can be examined.
        assert refused.value.reason in ("TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
    assert re.findall(r"ssl_protocols (.*);", CONFIGURATION) == ["TLSv1.2 TLSv1.3"]


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics?x", "/%6detrics", "/faces/metrics", "/faces%2fmetrics", "/faces/./metrics"]
)
def test_the_metrics_do_not_pass(path: str, front: Front) -> None:
    assert front.status("/faces/healthz") == 200  # the prefix is in force
    assert front.status(path) == 403


def test_one_address_has_a_part_of_the_connections(front: Front) -> None:
    most = int(re.findall(r"limit_conn callers (\d+);", CONFIGURATION)[0])
    with contextlib.ExitStack() as stack:
        front.server.send_signal(signal.SIGSTOP)
        stack.callback(front.server.send_signal, signal.SIGCONT)
        requests = [stack.enter_context(front.ask()) for _ in range(most + 1)]
        (refused,) = select.select(requests, [], [], 60)[0]
        assert refused.recv(100).startswith(b"HTTP/1.1 503 ")
        other = stack.enter_context(front.ask("127.0.0.2"))
        front.server.send_signal(signal.SIGCONT)
        for each in [other, *requests]:
            assert each is refused or each.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_host_with_ipv6_is_one_caller_however_many_addresses_it_uses(tmp_path: Path) -> None:
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    (units,) = re.findall(r"    map \$binary_remote_addr \$caller \{.*?\n    \}\n", CONFIGURATION, re.DOTALL)
    assert "limit_conn_zone $caller zone=callers:" in CONFIGURATION
    listening = f"listen unix:{tmp_path}/socket; set_real_ip_from unix:; real_ip_header X-Client;"
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; events {{}}\n"
        f'http {{ access_log off; {units} server {{ {listening} location / {{ return 200 "$caller"; }} }} }}'
    )
    proxy = subprocess.Popen([program, "-e", "stderr", "-p", tmp_path, "-c", "nginx.conf", "-g", "daemon off;"])

    def unit(address: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(f"{tmp_path}/socket")
            connection.sendall(f"GET / HTTP/1.0\r\nX-Client: {address}\r\n\r\n".encode())
            return connection.makefile("rb").read().partition(b"\r\n\r\n")[2]

    try:
        end = time.monotonic() + START_SECONDS
        while not (tmp_path / "socket").exists():
            assert proxy.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        assert unit("192.0.2.1") == unit("::ffff:192.0.2.1") == socket.inet_aton("192.0.2.1")
        assert unit("2001:db8:1:1::1") == unit("2001:db8:1:1:ffff::9") == bytes.fromhex("20010db800010001")
        assert unit("2001:db8::5:6:7:8:9") == bytes.fromhex("20010db800000005")
    finally:
        proxy.terminate()
        proxy.wait(timeout=60)


def wait_until_it_answers(proxy: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert proxy.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
