"""Objects from a real S3 server on loopback, and from servers that hang, disconnect or lie."""

import base64
import hashlib
import json
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from likeness.errors import ImageTooLarge, InvalidImageFormat, InvalidS3Object, SettingsError
from likeness.sources.credentials import Credentials
from likeness.sources.s3 import S3Store
from likeness.sources.store import S3RateExceeded, StoreSettings

MIB = 1024 * 1024
LIMIT = 15 * MIB
BUCKET = "photos-test"
Misbehaving = Callable[[Callable[[socket.socket, int], None]], str]


def store(url: str, **settings: Any) -> S3Store:
    return S3Store(StoreSettings(endpoint_url=url, access_key_id="test", secret_access_key="test", **settings))


def fetch(store: S3Store, name: str, *, bucket: str = BUCKET, version: str | None = None, seconds: float = 60) -> bytes:
    return store.fetch(bucket, name, version, max_bytes=LIMIT, deadline=time.monotonic() + seconds)


def read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    return received


def test_gives_the_bytes_of_an_object(s3_url: str, s3_admin: Any) -> None:
    s3_admin.put_object(Bucket=BUCKET, Key="folder/Grüße 1+1.jpg", Body=b"jpeg" * MIB)
    assert fetch(store(s3_url), "folder/Grüße 1+1.jpg") == b"jpeg" * MIB


def test_gives_the_requested_version(s3_url: str, s3_admin: Any) -> None:
    first = s3_admin.put_object(Bucket=BUCKET, Key="versions", Body=b"first")["VersionId"]
    s3_admin.put_object(Bucket=BUCKET, Key="versions", Body=b"second")
    assert fetch(store(s3_url), "versions", version=first) == b"first"
    assert fetch(store(s3_url), "versions") == b"second"


@pytest.mark.parametrize(
    ("bucket", "name", "version", "cause"),
    [
        (BUCKET, "not-there", None, "no such object"),
        ("no-such-bucket", "x", None, "no such bucket"),
        (BUCKET, "versions", "00000000-0000-0000-0000-000000000000", "no such version"),
        (BUCKET, "folder/", None, "name of a folder"),
        (BUCKET, f"../{BUCKET}/versions", None, "are not served"),
        (BUCKET, "./versions", None, "are not served"),
        (BUCKET, "\ud800", None, "not valid Unicode"),
    ],
)
def test_the_reason_names_what_is_missing(
    s3_url: str, s3_admin: Any, bucket: str, name: str, version: str | None, cause: str
) -> None:
    s3_admin.put_object(Bucket=BUCKET, Key="versions", Body=b"x")
    with pytest.raises(InvalidS3Object, match=cause) as caught:
        fetch(store(s3_url), name, bucket=bucket, version=version)
    assert caught.value.service_message == InvalidS3Object.service_message


def test_a_denied_request_has_its_own_reason(s3_url: str, s3_admin: Any) -> None:
    s3_admin.create_bucket(Bucket="locked-bucket")
    s3_admin.put_object(Bucket="locked-bucket", Key="a", Body=b"x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::locked-bucket/*"}
    s3_admin.put_bucket_policy(
        Bucket="locked-bucket", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    )
    with pytest.raises(InvalidS3Object, match="may not read"):
        fetch(store(s3_url), "a", bucket="locked-bucket")


def test_the_size_limit_is_exact(s3_url: str, s3_admin: Any) -> None:
    s3_admin.put_object(Bucket=BUCKET, Key="at-limit", Body=bytes(LIMIT))
    s3_admin.put_object(Bucket=BUCKET, Key="over-limit", Body=bytes(LIMIT + 1))
    assert len(fetch(store(s3_url), "at-limit")) == LIMIT
    with pytest.raises(ImageTooLarge, match="15728641 bytes, more than the 15728640 allowed"):
        fetch(store(s3_url), "over-limit")


def test_an_empty_object_is_no_image(s3_url: str, s3_admin: Any) -> None:
    s3_admin.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    with pytest.raises(InvalidImageFormat, match="no bytes"):
        fetch(store(s3_url), "empty")


def test_an_archived_object_has_its_own_reason(s3_url: str, s3_admin: Any) -> None:
    s3_admin.put_object(Bucket=BUCKET, Key="frozen", Body=b"x", StorageClass="DEEP_ARCHIVE")
    with pytest.raises(InvalidS3Object, match="archived"):
        fetch(store(s3_url), "frozen")


def test_a_hanging_store_times_out(misbehaving: Misbehaving) -> None:
    url = misbehaving(lambda connection, _: time.sleep(60))
    begun = time.monotonic()
    with pytest.raises(InvalidS3Object, match="does not answer in time"):
        fetch(store(url, read_timeout_seconds=0.2, attempts=2), "x")
    assert time.monotonic() - begun < 30


def test_no_try_begins_after_the_deadline(misbehaving: Misbehaving) -> None:
    seen = []

    def hang(connection: socket.socket, number: int) -> None:
        seen.append(number)
        time.sleep(60)

    url = misbehaving(hang)
    # The second try ends at the deadline, or there is no time left for one: a question of milliseconds.
    with pytest.raises(InvalidS3Object, match=r"before the request's deadline|does not answer in time"):
        fetch(store(url, read_timeout_seconds=0.3, attempts=10), "x", seconds=0.5)
    assert len(seen) <= 3


def test_a_connection_that_drops_once_is_retried(misbehaving: Misbehaving) -> None:
    def cut_then_serve(connection: socket.socket, number: int) -> None:
        request = read_request(connection)
        if number == 0:
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n")
        if request.startswith(b"GET"):
            connection.sendall(b"face")

    assert fetch(store(misbehaving(cut_then_serve)), "x") == b"face"


def test_a_connection_that_always_drops_has_its_own_reason(misbehaving: Misbehaving) -> None:
    url = misbehaving(lambda connection, _: read_request(connection) and None)
    with pytest.raises(InvalidS3Object, match="closes the connection early"):
        fetch(store(url, attempts=2), "x")


def test_a_truncated_body_is_never_accepted(misbehaving: Misbehaving) -> None:
    def cut_body(connection: socket.socket, number: int) -> None:
        request = read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n")
        if request.startswith(b"GET"):
            connection.sendall(b"half")

    with pytest.raises(InvalidS3Object, match="closes the connection early"):
        fetch(store(misbehaving(cut_body), attempts=2), "x")


@pytest.mark.parametrize("algorithm", ["crc32", "sha1", "sha256"])
def test_a_body_with_a_wrong_checksum_is_refused(misbehaving: Misbehaving, algorithm: str) -> None:
    """A real S3 sends the checksum only when asked for it."""
    digests = {
        "crc32": zlib.crc32(b"photo").to_bytes(4, "big"),
        "sha1": hashlib.sha1(b"photo").digest(),
        "sha256": hashlib.sha256(b"photo").digest(),
    }
    data = b"photo"

    def answer(connection: socket.socket, number: int) -> None:
        request = read_request(connection)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n"
        if b"x-amz-checksum-mode: enabled" in request.lower():
            head += f"x-amz-checksum-{algorithm}: ".encode() + base64.b64encode(digests[algorithm]) + b"\r\n"
        connection.sendall(head + b"\r\n" + (data if request.startswith(b"GET") else b""))

    assert fetch(store(misbehaving(answer)), "x") == b"photo"
    data = b"phot0"
    with pytest.raises(InvalidS3Object, match="do not match the checksum"):
        fetch(store(misbehaving(answer), attempts=2), "x")


def test_a_store_that_lies_about_the_size_is_stopped(misbehaving: Misbehaving) -> None:
    sent = 0

    def lie(connection: socket.socket, number: int) -> None:
        nonlocal sent
        if read_request(connection).startswith(b"HEAD"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while sent < 4 * LIMIT:
            sent += connection.send(bytes(MIB))

    with pytest.raises(ImageTooLarge, match="more than the"):
        fetch(store(misbehaving(lie)), "x")
    assert sent < 3 * LIMIT


def test_what_is_read_is_what_was_checked(misbehaving: Misbehaving) -> None:
    """An object that is replaced between HEAD and GET is not read without another check."""

    def answer(connection: socket.socket, number: int) -> None:
        request = read_request(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "one"\r\nContent-Length: 5\r\nConnection: close\r\n\r\n')
        if request.startswith(b"GET"):
            connection.sendall(b"photo" if b'if-match: "one"' in request.lower() else b"other")

    assert fetch(store(misbehaving(answer)), "x") == b"photo"


def test_a_body_of_one_byte_more_than_announced_and_allowed_is_refused(misbehaving: Misbehaving) -> None:
    def lie(connection: socket.socket, number: int) -> None:
        body = b"12345" if read_request(connection).startswith(b"HEAD") else b"123456"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
        connection.sendall(body if len(body) > 5 else b"")

    with pytest.raises(ImageTooLarge, match="more than the 5 bytes allowed"):
        store(misbehaving(lie)).fetch(BUCKET, "x", None, max_bytes=5, deadline=time.monotonic() + 60)


def test_a_slow_store_ends_at_the_deadline(misbehaving: Misbehaving) -> None:
    def dribble(connection: socket.socket, number: int) -> None:
        head = read_request(connection).startswith(b"HEAD")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n")
        while not head:
            connection.sendall(bytes(1000))
            time.sleep(0.05)

    dribbling = store(misbehaving(dribble))
    message = ""
    # On a busy machine a short deadline may pass before the body has begun.
    for seconds in (0.5, 2, 8, 30):
        with pytest.raises(InvalidS3Object) as caught:
            fetch(dribbling, "x", seconds=seconds)
        message = str(caught.value)
        if "too slow" in message:
            break
    assert "too slow" in message


def test_a_store_that_asks_to_slow_down(misbehaving: Misbehaving) -> None:
    body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

    def slow_down(connection: socket.socket, number: int) -> None:
        head = read_request(connection).startswith(b"HEAD")
        connection.sendall(b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.sendall(b"" if head else body)

    with pytest.raises(S3RateExceeded) as caught:
        fetch(store(misbehaving(slow_down), attempts=2), "x")
    assert caught.value.service_message == "S3 download limit exceeded."
    assert caught.value.code == "ProvisionedThroughputExceededException"


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (403, b"AccessDenied", "access_denied"),
        (403, b"InvalidAccessKeyId", "configuration"),
        (403, b"SignatureDoesNotMatch", "configuration"),
        (400, b"ExpiredToken", "configuration"),
        (403, b"RequestTimeTooSkewed", "configuration"),
        (403, b"InvalidObjectState", "refused"),
        (404, b"NoSuchKey", "not_found"),
        (405, b"MethodNotAllowed", "refused"),
        (500, b"InternalError", "unavailable"),
        (503, b"", "unavailable"),
        (400, b"", "invalid_answer"),
    ],
)
def test_an_error_of_the_store_has_its_cause(misbehaving: Misbehaving, status: int, code: bytes, cause: str) -> None:
    body = b"<Error><Code>%s</Code></Error>" % code if code else b""

    def refuse(connection: socket.socket, number: int) -> None:
        head = read_request(connection).startswith(b"HEAD")
        connection.sendall(b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
        connection.sendall(b"" if head else body)

    with pytest.raises(InvalidS3Object) as caught:
        fetch(store(misbehaving(refuse), attempts=1), "x")
    assert caught.value.cause == cause


def test_a_store_that_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(InvalidS3Object, match="cannot be reached"):
        fetch(store(f"http://127.0.0.1:{port}", attempts=2), "x")


def test_without_credentials_the_reason_says_so(s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidS3Object, match="no credentials") as caught:
        fetch(S3Store(StoreSettings(endpoint_url=s3_url)), "x")
    assert caught.value.cause == "configuration"


def test_credentials_of_a_profile(s3_url: str, s3_admin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[minio]\naws_access_key_id = test\naws_secret_access_key = test\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3_admin.put_object(Bucket=BUCKET, Key="profile", Body=b"x")
    assert fetch(S3Store(StoreSettings(endpoint_url=s3_url, profile="minio")), "profile") == b"x"
    with pytest.raises(SettingsError, match="'nobody'"):
        S3Store(StoreSettings(profile="nobody"))


def test_settings_that_botocore_refuses_are_an_error_of_the_object() -> None:
    with pytest.raises(InvalidS3Object, match="settings of the store") as caught:
        fetch(store("http://"), "x")
    assert caught.value.cause == "configuration"
    with pytest.raises(InvalidS3Object, match="settings of the store"):
        fetch(store("http://127.0.0.1:9", region="no region"), "x")


def test_the_endpoint_of_rekognition_is_not_taken_for_s3(
    s3_url: str, s3_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_admin.put_object(Bucket=BUCKET, Key="env", Body=b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)
    assert fetch(S3Store(StoreSettings(access_key_id="test", secret_access_key="test")), "env") == b"x"


def test_without_an_endpoint_of_its_own_it_is_that_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would send its credentials to itself, or to another service."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    client = S3Store(StoreSettings(region="eu-west-1"))._connect(Credentials("test", "test", None))
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("key", ["AKIDEXAMPLE", None])
def test_an_anonymous_store_gets_no_credentials(
    misbehaving: Misbehaving, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket, number: int) -> None:
        asked.append(read_request(connection).lower())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
        connection.sendall(b"photo" if asked[-1].startswith(b"get") else b"")

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
        if key is not None:
            monkeypatch.setenv(name, key)
    assert fetch(S3Store(StoreSettings(endpoint_url=misbehaving(answer), anonymous=True)), "x") == b"photo"
    assert not any(b"authorization" in request or b"akid" in request for request in asked)


def test_no_pause_is_longer_than_the_deadline(misbehaving: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    pauses: list[float] = []
    url = misbehaving(busy)
    monkeypatch.setattr("likeness.sources.s3.random.uniform", lambda *_: 1e6)
    monkeypatch.setattr("likeness.sources.s3.time.sleep", pauses.append)
    with pytest.raises(InvalidS3Object):
        fetch(store(url), "x")
    assert not pauses


def test_what_cannot_be_parsed_is_not_quoted(misbehaving: Misbehaving) -> None:
    def odd(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nLast-Modified: ada-lovelace\r\nContent-Length: 5\r\n\r\n")

    with pytest.raises(InvalidS3Object, match="cannot be parsed") as caught:
        fetch(store(misbehaving(odd)), "x")
    assert "ada" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def names(store: S3Store, prefix: str, *, bucket: str = BUCKET) -> list[str]:
    return [each.name for each in store.objects(bucket, prefix)]


def test_lists_what_begins_with_a_prefix_and_notices_other_content(s3_url: str, s3_admin: Any) -> None:
    for name in ("listed/Grüße 1+1.jpg", "listed/b/c.png", "listed-not.jpg"):
        s3_admin.put_object(Bucket=BUCKET, Key=name, Body=b"face")
    before = list(store(s3_url).objects(BUCKET, "listed/"))
    assert [each.name for each in before] == ["listed/Grüße 1+1.jpg", "listed/b/c.png"]
    s3_admin.put_object(Bucket=BUCKET, Key="listed/b/c.png", Body=b"mien")
    after = list(store(s3_url).objects(BUCKET, "listed/"))
    assert after[0] == before[0]
    assert after[1].state != before[1].state
    assert names(store(s3_url), "nothing/") == []
    with pytest.raises(InvalidS3Object, match=r"listing s3://no-such-bucket/x/: there is no such bucket"):
        names(store(s3_url), "x/", bucket="no-such-bucket")


def page(names: Sequence[str], token: str | None) -> bytes:
    """A page of a listing, with where the next one begins."""
    contents = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names)
    rest = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = f"<ListBucketResult>{contents}{rest}</ListBucketResult>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


def test_a_long_listing_comes_page_by_page_and_a_page_that_fails_once_is_asked_for_again(
    misbehaving: Misbehaving,
) -> None:
    asked: list[bytes] = []

    def serve(connection: socket.socket, number: int) -> None:
        line = read_request(connection).splitlines()[0]
        asked.append(line)
        if number == 1:
            return
        connection.sendall(page(["c"], None) if b"continuation-token=two" in line else page(["a", "b"], "two"))

    listed = store(misbehaving(serve)).objects(BUCKET, "x")
    assert next(listed).name == "a"
    assert len(asked) == 1, "the second page is asked for when the first one is read"
    assert [each.name for each in listed] == ["b", "c"]
    assert [b"continuation-token=two" in line for line in asked] == [False, True, True]


def test_a_listing_without_end_is_given_up(misbehaving: Misbehaving) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(page(["a"], "same"))

    with pytest.raises(InvalidS3Object, match="announces another page without a token for it"):
        names(store(misbehaving(serve)), "x")
