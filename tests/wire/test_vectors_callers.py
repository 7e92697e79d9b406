"""Vectors 31 to 38 of specification section 13: signatures, clocks, policies, rates, and logs."""

import hashlib
import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

MISMATCH = {
    "__type": "InvalidSignatureException",
    "message": "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details.",
}

Make = Callable[..., dict[str, Any]]


def test_vector_31_no_signature(wire: Any) -> None:
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    answer = wire.send("POST", b"{}", headers)
    assert answer.error == (
        400,
        {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"},
    )


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (-6, r"Signature expired: \S+ is now earlier than \S+ \(\S+ - 5 min\.\)"),
        (6, r"Signature not yet current: \S+ is still later than \S+ \(\S+ \+ 5 min\.\)"),
    ],
)
def test_vector_32_a_clock_that_is_wrong(minutes: int, text: str, send_as: Callable[..., Any]) -> None:
    answer = send_as(time=lambda: datetime.now(UTC) + timedelta(minutes=minutes)).post({})
    assert answer.status == 400
    assert answer.json["__type"] == "InvalidSignatureException"
    assert re.fullmatch(text, answer.json["message"])
    assert "date" in answer.headers


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"secret": "wrong"}, MISMATCH["message"]),
        ({"service": "s3"}, "Credential should be scoped to correct service: 'rekognition'."),
        ({"region": ""}, "Credential should be scoped to a valid region, not ''."),
        (
            {"day": "20200101"},
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200101' != ",
        ),
    ],
    ids=["secret", "service", "region", "day"],
)
def test_vector_33_a_wrong_scope(options: dict[str, str], text: str, send_as: Callable[..., Any]) -> None:
    answer = send_as(**options).post({})
    assert answer.status == 400
    assert answer.json["__type"] == "InvalidSignatureException"
    assert answer.json["message"].startswith(text)


@pytest.mark.parametrize("options", [{"key_id": "AKIDNOBODY"}, {"key": "revoked"}])
def test_vector_34_an_unknown_key(options: dict[str, str], send_as: Callable[..., Any]) -> None:
    assert send_as(**options).post({}).error == (
        400,
        {"__type": "UnrecognizedClientException", "message": "The security token included in the request is invalid."},
    )


def test_vector_34_a_session_and_an_expired_one(send_as: Callable[..., Any], request_with: Make) -> None:
    assert send_as(key="session").post(request_with()).status == 200
    expired = send_as(key="expired")
    ends = expired.server.keys["expired"].expires
    while datetime.now(UTC) <= ends:
        time.sleep(0.05)
    assert expired.post(request_with()).error == (
        400,
        {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"},
    )


def test_vector_35_a_tampered_body(send_as: Callable[..., Any], request_with: Make) -> None:
    data = json.dumps(request_with()).encode()
    declared = {"X-Amz-Content-Sha256": hashlib.sha256(data).hexdigest()}
    client = send_as(signed=declared)
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    signed = client.sign(data, headers) | headers
    assert client.send("POST", data, signed).status == 200
    assert client.send("POST", data.replace(b": {", b" :{", 1), signed).error == (400, MISMATCH)


def test_vector_36_java_signs_user_agent(send_as: Callable[..., Any], request_with: Make) -> None:
    data = json.dumps(request_with()).encode()
    java = {
        "User-Agent": "aws-sdk-java/1.11.297 Linux/4.9  OpenJDK_64-Bit",
        "amz-sdk-invocation-id": "5b8e1a2c-0000-4000-8000-000000000000",
        "amz-sdk-retry": "0/0/500",
        "Content-Length": str(len(data)),
        "Connection": "keep-alive",
    }
    assert send_as(signed=java).post(data).status == 200


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("no-action", "because no identity-based policy allows the rekognition:CompareFaces action"),
        ("denied", "with an explicit deny in an identity-based policy"),
    ],
)
def test_vector_37_policies(key: str, why: str, send_as: Callable[..., Any], request_with: Make) -> None:
    user = f"User: arn:aws:iam::111122223333:user/{key}"
    text = f"{user} is not authorized to perform: rekognition:CompareFaces {why}"
    assert send_as(key=key).post(request_with()).error == (400, {"__type": "AccessDeniedException", "Message": text})


def test_vector_38_more_than_the_rate(
    boto3_client: Callable[..., Any], photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", slept.append)
    client = boto3_client("slow", max_attempts=5)
    images = {"SourceImage": {"Bytes": photos.person}, "TargetImage": {"Bytes": photos.person}}
    client.compare_faces(**images)
    with pytest.raises(client.exceptions.ProvisionedThroughputExceededException) as raised:
        client.compare_faces(**images)
    answer = raised.value.response
    assert answer["Error"]["Message"] == "Provisioned rate exceeded"
    assert answer["ResponseMetadata"]["RetryAttempts"] == 4
    assert len(slept) == 4


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def whole_lines(path: Path) -> str:
    return path.read_text().rpartition("\n")[0]


def test_no_photo_and_no_similarity_in_any_log(wire: Any, request_with: Make, photos: Any, server: Any) -> None:
    answer = wire.post(request_with(target=photos.person_again))
    similarity = answer.json["FaceMatches"][0]["Similarity"]
    request_id = answer.headers["x-amzn-requestid"]
    # The server writes its logs beside its answers, and not before them.
    until(lambda: all(request_id in whole_lines(server.folder / name) for name in ("audit.jsonl", "access.jsonl")))
    lines = [json.loads(line) for line in whole_lines(server.folder / "audit.jsonl").splitlines()]
    events = [event for event in lines if event["requestID"] == request_id]
    assert len(events) == 1
    assert events[0]["userIdentity"]["userName"] == "full"
    for name in ("audit.jsonl", "access.jsonl", "stderr.txt"):
        text = (server.folder / name).read_text()
        assert str(similarity) not in text
        assert b64encode(photos.person[:300]).decode()[:100] not in text
