"""S3Object references through the server: from a real S3 on loopback and from a folder, with policies."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from likeness.aws.keys import Record, create_key

from .conftest import HEADERS, Answer, Running, Serve, body, free_port, s3_body, wait_for

BUCKET = "photos-test"
MIB = 1024 * 1024
METADATA_TEXT = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


def client(service: str, url: str, key: str = "test", secret: str = "test") -> Any:
    return botocore.session.Session().create_client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A running S3 server with the bucket BUCKET, which keeps versions."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    admin = client("s3", url)
    admin.create_bucket(Bucket=BUCKET)
    admin.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    admin.put_object(Bucket=BUCKET, Key="a.jpg", Body=b"photo")
    admin.put_object(Bucket=BUCKET, Key="private/b.jpg", Body=b"photo")
    admin.put_object(Bucket=BUCKET, Key="no-face.jpg", Body=b"no face")
    admin.put_object(Bucket=BUCKET, Key="large.jpg", Body=bytes(15 * MIB + 1))
    admin.put_object(Bucket=BUCKET, Key="empty.jpg", Body=b"")
    yield url
    server.stop()


@pytest.fixture(scope="module")
def silent_url() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def hold() -> None:
            try:
                while True:
                    held.append(listener.accept()[0])
            except OSError:
                return

        threading.Thread(target=hold, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()


@pytest.fixture(scope="module")
def pairs_url() -> Iterator[str]:
    """A store that answers the first request for an object when the second has come, within a minute."""
    both = threading.Barrier(2)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            both.wait(60)
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"photo")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 50) for level in range(6))
    + b"]><Error><Code>&g;</Code></Error>"
)
#: What no S3 answers, and what the log says of it.
INVALID_ANSWERS = (
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: yesterday\r\n\r\n", "cannot be parsed (ValueError)"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-amz-missing-meta: many\r\n\r\n", "cannot be parsed (ValueError)"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", "cannot be parsed (ValueError)"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "closes the connection early"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \xff\xfe\x01\r\n\r\n", "closes the connection early"),
    (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n", "not valid HTTP (HTTPException)"),
    (b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n", "not valid HTTP (LineTooLong)"),
    (b"HTTP/1.1 abc OK\r\n\r\n", "not valid HTTP (BadStatusLine)"),
    (b"HTTP/1.1 999 OK\r\n\r\n", "the store refuses (999 999)"),
    (b"HTTP/1.1 304 Not Modified\r\n\r\n", "the store refuses (304 304)"),
    (b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", "redirects, which is not followed (301 301)"),
    (b"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: http://[\r\nContent-Length: 0\r\n\r\n", "InvalidRegionError"),
    (
        b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "redirects, which is not followed (307 307)",
    ),
    (b"HTTP/1.1 400 Bad\r\nContent-Length: 10\r\n\r\n<Error><Co", "the store refuses (400 400)"),
    (b"HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\n\xff\xfe\0\0\xff\xff\xff\xff\xff", "the store refuses (400 400)"),
    (b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(LAUGHS), LAUGHS), "the store refuses (400 400)"),
    (b"\x16\x03\x01\x02\x00\x01\x00", "not valid HTTP (BadStatusLine)"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "not valid HTTP (BadStatusLine)"),
    (b"", "closes the connection early (ConnectionClosedError)"),
)


@pytest.fixture(scope="module")
def invalid_url() -> Iterator[str]:
    """A store that gives one of INVALID_ANSWERS for every request for the bucket `b-` and its number."""

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while asked := re.match(rb"(\w+) /b-(\d+)", connection.recv(65536)):
                invalid = INVALID_ANSWERS[int(asked[2])][0]
                connection.sendall(invalid)
                is_whole = asked[1] == b"HEAD" or b"Content-Length: 0" in invalid
                if not is_whole or b"\r\n\r\n" not in invalid:
                    return

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def configured(
    serve: Serve,
    s3_url: str,
    silent_url: str,
    pairs_url: str,
    invalid_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Running:
    """A server without authentication that knows an S3, a folder and stores that fail in several ways."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "photos").mkdir()
    (folder / "photos" / "c.jpg").write_bytes(b"photo")
    (folder / "secret").write_bytes(b"secret")
    (folder / "photos" / "link").symlink_to(folder / "secret")
    (folder / "likeness.toml").write_text(
        f"""
        request_deadline_seconds = 60
        [s3]
        endpoint_url = "{s3_url}"
        access_key_id = "test"
        secret_access_key = "test"
        [[s3.buckets]]
        pattern = "folder-*"
        directory = "{folder / "photos"}"
        [[s3.buckets]]
        pattern = "hanging"
        endpoint_url = "{silent_url}"
        read_timeout_seconds = 0.5
        attempts = 1
        [[s3.buckets]]
        pattern = "gone"
        endpoint_url = "http://127.0.0.1:{free_port()}"
        attempts = 1
        [[s3.buckets]]
        pattern = "b-*"
        endpoint_url = "{invalid_url}"
        attempts = 1
        [[s3.buckets]]
        pattern = "pairs"
        endpoint_url = "{pairs_url}"
        read_timeout_seconds = 60
        """
    )
    server = serve("--config", str(folder / "likeness.toml"))
    server.wait_ready()
    return server


def failures(server: Running) -> dict[str, float]:
    """The requests whose objects could not be read, by cause."""
    page = server.get("/metrics").body.decode()
    return {
        cause: float(n) for cause, n in re.findall(r'^likeness_s3_failures_total\{cause="(\w+)"\} (\S+)$', page, re.M)
    }


@pytest.mark.parametrize(("name", "bucket"), [("a.jpg", BUCKET), ("c.jpg", "folder-1")])
def test_compares_objects(configured: Running, name: str, bucket: str) -> None:
    answer = configured.request(s3_body(name, bucket))
    assert (answer.status, len(answer.json["FaceMatches"])) == (200, 1)
    assert configured.log()[-1]["seconds"]["fetch"] > 0


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "bucket", "version", "cause", "reason"),
    [
        ("missing.jpg", BUCKET, None, "not_found", "there is no such object"),
        ("a.jpg", "missing-bucket", None, "not_found", "there is no such bucket"),
        ("a.jpg", BUCKET, "0", "not_found", "version 0: "),
        ("a.jpg", "hanging", None, "timeout", "does not answer in time"),
        ("a.jpg", "gone", None, "unavailable", "cannot be reached"),
        ("../secret", "folder-1", None, "not_found", "plain relative path"),
        ("link", "folder-1", None, "refused", "is a link"),
    ],
)
def test_causes_look_the_same_to_the_caller_and_are_told_apart_in_the_log(
    configured: Running, name: str, bucket: str, version: str | None, cause: str, reason: str
) -> None:
    before = failures(configured)
    answer = configured.request(s3_body(name, bucket, version))
    assert (answer.status, answer.code, answer.json["Message"]) == (400, "InvalidS3ObjectException", METADATA_TEXT)
    assert reason in configured.log()[-1]["reason"]
    assert failures(configured) == before | {cause: before[cause] + 1}


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("large.jpg", "ImageTooLargeException", "15728641 bytes"),
        ("empty.jpg", "InvalidImageFormatException", "no bytes"),
        ("no-face.jpg", "InvalidParameterException", "no face found"),
    ],
)
def test_an_object_that_is_no_photo_is_no_failure_of_the_store(
    configured: Running, name: str, code: str, reason: str
) -> None:
    before = failures(configured)
    answer = configured.request(s3_body(name))
    assert (answer.status, answer.code) == (400, code)
    assert reason in configured.log()[-1]["reason"]
    assert failures(configured) == before


def from_a_page(server: Running, origin: str, data: bytes, **headers: str) -> Answer:
    """As a browser sends it: a preflight, and then, if that is allowed, the request."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-amz-target"}
    assert server.request(method="OPTIONS", headers={"Origin": origin} | asked).status == 200
    return server.request(data, HEADERS | {"Origin": origin} | headers)


@pytest.mark.parametrize("bucket", [BUCKET, "folder-1", "missing-bucket"])
@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("http://page.example", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}),
        ("null", {}),  # a sandboxed frame
        ("*", {}),
        ("http://rebound.example:8080", {"Host": "rebound.example:8080"}),  # DNS rebinding: the page's own name
    ],
)
def test_an_unsigned_page_cannot_have_the_server_read_objects(
    configured: Running, origin: str, headers: dict[str, str], bucket: str
) -> None:
    """Any website that is open in a browser on this machine may call; whether an object exists must not show."""
    refused = from_a_page(configured, origin, s3_body("c.jpg", bucket), **headers)
    assert (refused.code, refused.json["Message"]) == ("InvalidS3ObjectException", METADATA_TEXT)
    assert f"a web page of {origin} refers to it without a signature" in configured.log()[-1]["reason"]
    assert from_a_page(configured, origin, body(), **headers).status == 200


def test_an_unsigned_page_of_an_origin_that_is_named_may_refer_to_objects(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "c.jpg").write_bytes(b"photo")
    server = serve("--cors-origins", "http://ours.example", "--s3-directory", str(tmp_path))
    assert from_a_page(server, "http://ours.example", s3_body("c.jpg")).status == 200
    assert server.request(s3_body("c.jpg"), HEADERS | {"Origin": "http://page.example"}).status == 400


@pytest.mark.fault
@pytest.mark.parametrize(("number", "reason"), [(at, reason) for at, (_, reason) in enumerate(INVALID_ANSWERS)])
def test_any_invalid_answer_of_a_store_is_the_services_error(configured: Running, number: int, reason: str) -> None:
    before = failures(configured)
    answer = configured.request(s3_body("a.jpg", f"b-{number}"))
    assert (answer.status, answer.code, answer.json["Message"]) == (400, "InvalidS3ObjectException", METADATA_TEXT)
    assert reason in configured.log()[-1]["reason"]
    cause = "unavailable" if "closes the connection" in reason else "invalid_answer"
    assert failures(configured) == before | {cause: before[cause] + 1}


def test_both_images_are_loaded_at_the_same_time(configured: Running) -> None:
    """The store answers for neither before both are asked for."""
    assert configured.request(s3_body("a.jpg", "pairs")).status == 200


@pytest.fixture
def dripping() -> threading.Event:
    """That the store of `dripping_url` has begun to answer."""
    return threading.Event()


@pytest.fixture
def dripping_url(dripping: threading.Event) -> Iterator[str]:
    """A server that answers every request with headers without end, a byte every twentieth of a second."""

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            while True:
                connection.sendall(b"a")
                dripping.set()
                time.sleep(0.05)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.fault
def test_a_slow_store_does_not_hold_a_thread_forever(
    serve: Serve, dripping_url: str, dripping: threading.Event, s3_url: str, tmp_path: Path
) -> None:
    (tmp_path / "likeness.toml").write_text(
        f"""
        request_deadline_seconds = 1
        [s3]
        endpoint_url = "{s3_url}"
        access_key_id = "test"
        secret_access_key = "test"
        [[s3.buckets]]
        pattern = "dripping"
        endpoint_url = "{dripping_url}"
        """
    )
    server = serve("--config", str(tmp_path / "likeness.toml"))
    server.wait_ready()
    answered = threading.Event()

    def keep_asking(_: int) -> set[str]:
        codes = set()
        while not answered.is_set():
            codes.add(server.request(s3_body("a.jpg", "dripping")).code)
        return codes

    with ThreadPoolExecutor(24) as pool:
        asking = pool.map(keep_asking, range(24))
        assert dripping.wait(60)
        wait_for(lambda: server.request(s3_body("a.jpg")).status == 200)  # within the deadline of a second
        answered.set()
        assert set().union(*asking) <= {"InvalidS3ObjectException", "ThrottlingException"}
    reasons = {line["reason"] for line in server.log() if line["status"] == 400}
    assert any("dripping/a.jpg: the store" in reason for reason in reasons)
    causes = ("before the request's deadline", "wait to load from S3", "overdue reads hold threads")
    assert all(any(cause in reason for cause in causes) for reason in reasons), reasons
    wait_for(lambda: server.gauge("s3_held_threads") == 0)


def test_a_slow_store_does_not_delay_shutdown(serve: Serve, dripping_url: str, dripping: threading.Event) -> None:
    server = serve("--s3-endpoint-url", dripping_url, "--s3-anonymous", "--grace-seconds", "0.5")
    server.wait_ready()
    connection = server.connect()
    connection.request("POST", "/", s3_body("a.jpg"), HEADERS)
    assert dripping.wait(60)
    server.process.terminate()
    assert server.process.wait(60) == 0


def test_without_s3_the_reason_says_so(serve: Serve) -> None:
    server = serve("--no-s3-enabled")
    assert server.request(s3_body("a.jpg")).json["Message"] == METADATA_TEXT
    assert "no store is set" in server.log()[-1]["reason"]


def allow(action: str, resource: str) -> dict[str, Any]:
    compare = {"Effect": "Allow", "Action": "rekognition:CompareFaces", "Resource": "*"}
    return {
        "Version": "2012-10-17",
        "Statement": [compare, {"Effect": "Allow", "Action": action, "Resource": resource}],
    }


@pytest.fixture(scope="module")
def signed(serve: Serve, s3_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Running, dict[str, Record]]:
    """A server that checks signatures, and keys by what they may do."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = {
        "none": create_key(path, user="none"),
        "public": create_key(path, user="public", policy=allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*.jpg")),
        "private": create_key(path, user="private", policy=allow("s3:Get*", f"arn:aws:s3:::{BUCKET}/private/*")),
    }
    s3 = ["--s3-endpoint-url", s3_url, "--s3-access-key-id", "test"]
    server = serve(
        "--keys", str(path), "--audit-log", "audit.jsonl", *s3, env={"LIKENESS_S3_SECRET_ACCESS_KEY": "test"}
    )
    server.wait_ready()
    return server, keys


def compare(server: Running, key: Record, name: str, version: str | None = None) -> Any:
    reference = {"Bucket": BUCKET, "Name": name} | ({"Version": version} if version else {})
    rekognition = client("rekognition", server.url, key.id, key.secret)
    return rekognition.compare_faces(SourceImage={"S3Object": reference}, TargetImage={"S3Object": reference})


def test_the_callers_policy_must_allow_the_object(signed: tuple[Running, dict[str, Record]], s3_url: str) -> None:
    server, keys = signed
    version = client("s3", s3_url).put_object(Bucket=BUCKET, Key="private/v.jpg", Body=b"x")["VersionId"]
    assert compare(server, keys["public"], "a.jpg")["FaceMatches"]
    assert compare(server, keys["private"], "private/v.jpg", version)["FaceMatches"]
    for key, name, asked, action in (
        ("none", "a.jpg", None, "s3:GetObject"),
        ("private", "a.jpg", None, "s3:GetObject"),
        ("public", "private/v.jpg", version, "s3:GetObjectVersion"),
    ):
        with pytest.raises(ClientError, match="InvalidS3ObjectException") as caught:
            compare(server, keys[key], name, asked)
        assert caught.value.response["Error"]["Message"] == METADATA_TEXT
        assert f"does not allow {action} on arn:aws:s3:::{BUCKET}/{name}" in server.log()[-1]["reason"]


def test_a_signed_page_may_refer_to_what_its_policy_allows(signed: tuple[Running, dict[str, Record]]) -> None:
    """Its origin is no reason to refuse it; whether it may see the answer is for the browser to decide."""
    server, keys = signed
    rekognition = client("rekognition", server.url, keys["public"].id, keys["public"].secret)
    rekognition.meta.events.register(
        "before-send", lambda request, **_: request.headers.update(Origin="http://a.example")
    )
    photo = {"S3Object": {"Bucket": BUCKET, "Name": "a.jpg"}}
    assert rekognition.compare_faces(SourceImage=photo, TargetImage=photo)["FaceMatches"]


def test_signatures_are_verified_and_keys_logged(signed: tuple[Running, dict[str, Record]]) -> None:
    server, keys = signed
    unsigned = server.request(s3_body("a.jpg"))
    assert unsigned.code == "MissingAuthenticationTokenException"
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client("rekognition", server.url, keys["none"].id, "wrong").compare_faces(
            SourceImage={"Bytes": b"x"}, TargetImage={"Bytes": b"x"}
        )
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client("rekognition", server.url, "AKIAUNKNOWN", "x").compare_faces(
            SourceImage={"Bytes": b"x"}, TargetImage={"Bytes": b"x"}
        )
    photo = {"Bytes": b"x" * 100_000}
    answer = client("rekognition", server.url, keys["none"].id, keys["none"].secret).compare_faces(
        SourceImage=photo, TargetImage=photo
    )
    assert answer["FaceMatches"]
    line = server.log()[-1]
    assert (line["key"], line["request_id"]) == (keys["none"].id, answer["ResponseMetadata"]["RequestId"])
    audit = (server.folder / "audit.jsonl").read_text()
    assert keys["none"].id in audit
    everything = audit + (server.folder / "stdout").read_text() + server.errors
    assert [key.secret for key in keys.values() if key.secret in everything] == []


def test_a_key_made_while_the_server_runs_works_at_once(signed: tuple[Running, dict[str, Record]]) -> None:
    server, _ = signed
    words = server.process.args
    assert isinstance(words, list)
    path = Path(words[words.index("--keys") + 1])
    key = create_key(path, user="late")
    answer = client("rekognition", server.url, key.id, key.secret).compare_faces(
        SourceImage={"Bytes": b"x"}, TargetImage={"Bytes": b"x"}
    )
    assert answer["FaceMatches"]
