"""The server as seen by a client: answers, errors, pages, limits of bodies."""

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from .conftest import HEADERS, Answer, Running, Serve, body, read_answer, wait_for

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MIB = 1024 * 1024


def test_answers_a_comparison(server: Running) -> None:
    answer = server.request(body())
    assert answer.status == 200
    assert list(answer.json) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert answer.json["FaceMatches"][0]["Similarity"] == 98.76542663574219
    assert UUID4.fullmatch(answer.headers["x-amzn-requestid"])
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert "server" not in answer.headers
    assert list(answer.headers).count("date") == 1


def test_the_log_has_the_reason_under_the_request_id(server: Running) -> None:
    answer = server.request(body(b"no face"))
    assert (answer.status, answer.json) == (
        400,
        {
            "__type": "InvalidParameterException",
            "Code": "InvalidParameterException",
            "Message": "Request has invalid parameters",
        },
    )
    (line,) = [each for each in server.log() if each["request_id"] == answer.headers["x-amzn-requestid"]]
    assert line["reason"] == "SourceImage: no face found (largest candidate 22 px)"
    assert line["code"] == "InvalidParameterException"
    assert line["status"] == 400
    assert line["seconds"]["total"] >= line["seconds"]["compare"] >= 0


@pytest.mark.parametrize("command", [b"bug", b"memory"])
def test_a_bug_is_an_internal_server_error_and_in_the_log(server: Running, command: bytes) -> None:
    answer = server.request(body(command))
    assert (answer.status, answer.code) == (500, "InternalServerError")
    assert "bug" not in answer.body.decode()
    request_id = answer.headers["x-amzn-requestid"]
    wait_for(lambda: request_id in server.errors)
    (event,) = [json.loads(line) for line in server.errors.splitlines() if request_id in line]
    assert event["exception"] in ("ZeroDivisionError", "MemoryError")
    assert any("stub_server.py" in frame for frame in event["frames"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "start"),
    [
        ("GET", "/elsewhere", {}, 403, b"<AccessDeniedException>"),
        ("PUT", "/", HEADERS, 403, b"<AccessDeniedException>"),
        ("POST", "/elsewhere", HEADERS, 404, b"<UnknownOperationException/>\n"),
        ("POST", "/", {"X-Amz-Target": HEADERS["X-Amz-Target"]}, 404, b"<UnknownOperationException/>\n"),
        ("POST", "/", {"Content-Type": HEADERS["Content-Type"]}, 400, b'{"__type":"UnknownOperationException"}'),
        ("POST", "/", HEADERS, 400, b'{"__type":"SerializationException"}'),
    ],
)
def test_requests_for_anything_but_the_operation(
    server: Running, method: str, path: str, headers: dict[str, str], status: int, start: bytes
) -> None:
    answer = server.request(b"{" if method != "GET" else b"", headers, method, path)
    assert answer.status == status
    assert answer.body.startswith(start)
    assert UUID4.fullmatch(answer.headers["x-amzn-requestid"])


@pytest.mark.parametrize("target", ["http://x/", "http://x", "HTTP://x:80/?a=b", "//", "/.", "/%2e", "/a/..", "/?"])
def test_other_spellings_of_the_root_path(server: Running, target: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        data = body()
        connection.sendall(
            f"POST {target} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://x/healthz", 200),
        ("CONNECT x:80", 403),
        ("OPTIONS *", 403),
        ("POST *", 400),
        ("POST x:80", 400),
        ("POST http://[x/", 400),
        ("POST ftp://x/", 400),
        ("POST /%2F", 404),
        ("POST /%ff", 404),
    ],
)
def test_other_forms_of_the_request_line(server: Running, line: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        connection.sendall(f"{line} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode())
        assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("Content-Type", 404, None), ("X-Amz-Target", 400, b"UnknownOperationException")],
)
def test_duplicate_headers(server: Running, name: str, status: int, code: bytes | None) -> None:
    head = "".join(f"{each}: {value}\r\n" for each, value in [*HEADERS.items(), (name, HEADERS[name])])
    head += "Connection: close\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode())
        answer = b""
        while piece := connection.recv(1000):
            answer += piece
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (code or b"<UnknownOperationException/>") in answer


def test_offers_of_other_protocols_leave_no_advice_in_the_log(server: Running) -> None:
    for upgrade in ("h2c", "websocket"):
        offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": upgrade, "HTTP2-Settings": "AAMAAABk"}
        assert server.request(body(), HEADERS | offer).status == 200
    assert "pip install" not in server.errors
    assert "pgrade" not in server.errors


@pytest.mark.parametrize(
    ("method", "path", "headers", "data", "reason"),
    [
        ("PUT", "/", HEADERS, b"{}", "the method is PUT"),
        ("POST", "/elsewhere", HEADERS, b"{}", "the path is unknown"),
        ("POST", "/", HEADERS | {"Content-Type": "text/plain"}, b"{}", "Content-Type 'text/plain'"),
        ("POST", "/", {"Content-Type": HEADERS["Content-Type"]}, b"{}", "no X-Amz-Target"),
        ("POST", "/", HEADERS | {"X-Amz-Target": "X.DetectFaces"}, b"{}", "X-Amz-Target is 'X.DetectFaces'"),
        ("POST", "/", HEADERS, b"\x1f\x8b\x08", "compressed with gzip"),
        ("POST", "/", HEADERS, b"[]", "Start of list"),
        ("POST", "/", HEADERS, b" " * (15 * MIB + 1), "more than 15728640 bytes"),
    ],
)
def test_every_refusal_has_its_reason_in_the_log(
    server: Running, method: str, path: str, headers: dict[str, str], data: bytes, reason: str
) -> None:
    answer = server.request(data, headers, method, path)
    assert answer.status >= 400
    line = server.log()[-1]
    assert line["request_id"] == answer.headers["x-amzn-requestid"]
    assert reason in line["reason"]


def test_an_unknown_operation_is_named_in_the_log(server: Running) -> None:
    answer = server.request(body(), HEADERS | {"X-Amz-Target": "RekognitionService.DetectFaces"})
    assert answer.json == {"__type": "UnknownOperationException"}
    assert server.log()[-1]["target"] == "RekognitionService.DetectFaces"


def test_a_body_over_the_limit_is_413_and_empty(server: Running) -> None:
    at_limit = server.request(b" " * (15 * MIB))
    over_limit = server.request(b" " * (15 * MIB + 1))
    assert (at_limit.status, at_limit.code) == (400, "SerializationException")
    assert (over_limit.status, over_limit.body) == (413, b"")


def test_a_chunked_body_is_read_and_limited_too(server: Running) -> None:
    whole = body()
    for chunks, status in ([whole[:10], whole[10:]], 200), ([bytes(MIB)] * 16, 413):
        connection = server.connect()
        connection.request("POST", "/", iter(chunks), HEADERS, encode_chunked=True)
        assert read_answer(connection).status == status


def test_a_body_of_tiny_chunks_is_refused(server: Running) -> None:
    """Each chunk takes time of the event loop, however small it is."""
    small = body()
    large = body(b"x" * 90_000)
    for data, size, status in (small, 1, 200), (large, 256, 200), (large, 64, 400), (large, 1, 400):
        connection = server.connect()
        sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in batched_bytes(data, size))
        connection.request("POST", "/", sent + b"0\r\n\r\n", {**HEADERS, "Transfer-Encoding": "chunked"})
        assert (size, read_answer(connection).status) == (size, status)
    assert server.log()[-1]["reason"] == "the chunks of the body are too small"


def batched_bytes(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[start : start + size] for start in range(0, len(data), size))


def test_expect_100_continue_is_refused_before_the_body(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_two_images_of_the_largest_size_fit(server: Running) -> None:
    image = bytes(5_242_880)
    assert server.request(body(image, image)).status == 200
    larger = server.request(body(image + b"x", image))
    assert (larger.status, larger.code) == (400, "ValidationException")


def test_a_connection_is_kept_through_errors(server: Running) -> None:
    connection = server.connect()
    for source, status in ((b"no face", 400), (b"ok", 200), (b"bug", 500), (b"ok", 200)):
        connection.request("POST", "/", body(source), HEADERS)
        assert read_answer(connection).status == status
    connection.request("POST", "/", b" " * (15 * MIB + 1), HEADERS)
    assert read_answer(connection).status == 413
    connection.request("GET", "/healthz")
    assert read_answer(connection).status == 200


def test_bytes_that_are_not_http_are_refused(server: Running) -> None:
    refused = {b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n": b"400", b"GET / HTTP/1.1\r\nX: " + b"a" * 33_000: b"431"}
    for sent, status in refused.items():
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(sent)
            assert connection.recv(100).startswith(b"HTTP/1.1 " + status)
    assert server.get("/healthz").status == 200


def test_pages(server: Running) -> None:
    assert server.get("/healthz").json == {"status": "ok"}
    assert server.get("/readyz").json == {"status": "ready", "pack": "standard"}
    head = server.request(method="HEAD", path="/healthz", headers={})
    assert (head.status, head.body) == (200, b"")


def value(page: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_by_the_names_of_the_service(serve: Serve) -> None:
    server = serve("--rate-per-second", "0.001", "--rate-burst", "4")
    for source in (b"ok", b"ok", b"no face", b"bug", b"throttled"):
        server.request(body(source))
    page = server.get("/metrics").body.decode()
    counted = {
        name: value(page, f'likeness_cloudwatch_total{{metric="{name}",operation="CompareFaces"}}')
        for name in ("SuccessfulRequestCount", "UserErrorCount", "ServerErrorCount", "ThrottledCount")
    }
    assert counted == {
        "SuccessfulRequestCount": 2,
        "UserErrorCount": 2,
        "ServerErrorCount": 1,
        "ThrottledCount": 1,
    }
    assert value(page, 'likeness_faces_found_total{photo="target"}') == 6
    assert value(page, 'likeness_stage_seconds_count{stage="detect"}') == 2
    assert value(page, 'likeness_requests_total{code="ProvisionedThroughputExceededException",status="400"}') == 1
    assert value(page, "likeness_queue_length") == 0
    assert value(page, "likeness_ready_workers") == 1
    assert value(page, 'likeness_response_time_milliseconds_count{metric="ResponseTime",operation="CompareFaces"}') == 5


def test_cors_is_open_without_authentication_on_loopback(server: Running) -> None:
    origin = {"Origin": "http://page.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-amz-target"}
    preflight = server.request(b"", origin | asked, "OPTIONS")
    assert (preflight.status, preflight.headers["access-control-allow-headers"]) == (200, "x-amz-target")
    assert server.request(body(), HEADERS | origin).headers["access-control-allow-origin"] == "*"
    assert server.request(body(b"no face"), HEADERS | origin).headers["access-control-allow-origin"] == "*"


def test_settings_change_answers(serve: Serve) -> None:
    flags = "--verbose-errors --path-prefix /faces --cors-origins http://ours.example --no-metrics"
    server = serve(*flags.split(), "--max-inline-bytes", "10")
    verbose = server.request(body(b"no face"), path="/faces")
    assert verbose.json["Message"] == (
        "Request has invalid parameters: SourceImage: no face found (largest candidate 22 px)"
    )
    assert server.request(body(), path="/faces/").status == 200
    assert server.request(body()).status == 200
    assert server.get("/faces/healthz").status == 200
    assert server.get("/metrics").status == 403
    assert server.request(body(b"x" * 11)).code == "ValidationException"
    origins = {
        origin: server.request(body(), HEADERS | {"Origin": origin}).headers.get("access-control-allow-origin")
        for origin in ("http://ours.example", "http://theirs.example")
    }
    assert origins == {"http://ours.example": "http://ours.example", "http://theirs.example": None}


def test_forwarded_addresses_are_used_only_from_trusted_proxies(serve: Serve, server: Running) -> None:
    trusting = serve("--trusted-proxies", "127.0.0.0/8")
    forwarded = HEADERS | {"X-Forwarded-For": "192.0.2.1, 203.0.113.7, 127.0.0.9", "X-Forwarded-Proto": "https"}
    clients = []
    for each in (trusting, server):
        each.request(body(), forwarded)
        clients.append(each.log()[-1]["client"])
    assert clients == ["203.0.113.7", "127.0.0.1"]
    assert trusting.request(body(), HEADERS | {"X-Forwarded-For": "unknown"}).status == 400
    (refused,) = [line for line in trusting.log() if line["status"] == 400]
    assert refused["client"] == "127.0.0.1"
    assert refused["reason"] == "X-Forwarded-For of a trusted proxy names a client without an address: unknown"
    assert server.request(body(), HEADERS | {"X-Forwarded-For": "unknown"}).status == 200


def test_only_errors_are_logged_on_demand(serve: Serve) -> None:
    server = serve("--log-requests", "errors")
    server.request(body())
    server.request(body(b"no face"))
    assert [line["status"] for line in server.log()] == [400]


def test_nothing_of_a_photo_or_a_result_is_ever_written(serve: Serve) -> None:
    """All that the server writes, while all goes well and while it does not, searched for what must not be there."""
    server = serve("--audit-log", "-", "--verbose-errors")
    photo = b"\xff\xd8\xff\xe0 the photo of somebody \xff\xd9"
    encoded = base64.b64encode(photo).decode()
    answers: list[Answer] = [server.request(body(b"ok " + photo, photo))]
    answers += [server.request(body(command + photo, photo)) for command in (b"no face ", b"bug ", b"memory ")]
    for broken in (encoded[:-1], f"{encoded[:-4]}!!!!", "data:image/jpeg;base64," + encoded):
        document = {"SourceImage": {"Bytes": broken}, "TargetImage": {"Bytes": encoded}}
        answers.append(server.request(json.dumps(document).encode()))
    answers.append(server.request(json.dumps({"SourceImage": encoded}).encode()))
    answers.append(server.request(body(photo)[:-7]))
    assert [answer.status for answer in answers] == [200, 400, 500, 500, 400, 400, 400, 400, 400]
    server.stop()
    written = "".join(path.read_text() for path in server.folder.iterdir() if path.is_file())
    assert written.count(answers[0].headers["x-amzn-requestid"]) == 2  # the access log and the audit log
    # What the stub answers, in more digits than times have; the photo, in pieces.
    numbers = ("98.7654", "0.31234", "0.45678", "99.5123")
    photos = (
        "the photo of",
        "somebody",
        encoded[4:16],
        encoded[16:28],
        base64.b64encode(b"ok " + photo).decode()[4:16],
    )
    assert [each for each in (*numbers, *photos) if each in written] == []


def test_records_for_the_auditor(serve: Serve) -> None:
    server = serve("--audit-log", "audit.jsonl", "--audit-region", "eu-central-1")
    answer = server.request(body(SimilarityThreshold=90.0), HEADERS | {"User-Agent": "a client"})
    server.request(body(b"no face"))
    server.get("/healthz")
    server.wait_written()
    records = [json.loads(line) for line in (server.folder / "audit.jsonl").read_text().splitlines()]
    assert [record.get("errorCode") for record in records] == [None, "InvalidParameterException"]
    assert records[0]["requestID"] == answer.headers["x-amzn-requestid"]
    assert records[0]["awsRegion"] == "eu-central-1"
    assert records[0]["userAgent"] == "a client"
    assert records[0]["requestParameters"]["similarityThreshold"] == 90
    assert records[0]["responseElements"] is None


def test_the_clock_of_the_answer_is_right(server: Running) -> None:
    before = time.time() - 1
    answer = server.request(body(b"no face"))
    assert before <= parsedate_to_datetime(answer.headers["date"]).timestamp() <= time.time() + 1
