"""Table 3.2 and the decisions of policies, from outside: each row's answer of the running server."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import structs

from likeness.aws.keys import Record, create_key, create_session

from .conftest import Wire

pytestmark = pytest.mark.engine

BUCKET = "photos-test"
HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
ALLOW = {"Effect": "Allow", "Action": "rekognition:CompareFaces", "Resource": "*"}
SIGNATURE, INCOMPLETE = "InvalidSignatureException", "IncompleteSignatureException"
UNKNOWN = ("UnrecognizedClientException", "The security token included in the request is invalid.")

Change = Callable[[str], str]


def refused(answer: Any) -> tuple[str, str]:
    assert answer.status == 400
    return answer.json["__type"], answer.json["message"]


def with_authorization(wire: Any, change: Change, path: str = "/", **dates: str) -> tuple[str, str]:
    """The error for a signed request whose Authorization is changed; `dates` replace X-Amz-Date."""
    signed = wire.sign(b"{}", HEADERS)
    signed["Authorization"] = change(signed["Authorization"])
    if "date" in dates:
        signed["X-Amz-Date"] = dates["date"]
    return refused(wire.send("POST", b"{}", HEADERS | {n: v for n, v in signed.items() if v}, path))


def replaced(pattern: str, text: str) -> Change:
    return lambda value: re.sub(pattern, text, value)


@pytest.mark.parametrize(
    ("change", "code", "begins"),
    [
        (replaced("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), INCOMPLETE, "Unsupported AWS 'algorithm': 'AWS4-EC"),
        (replaced("Signature=", "Signature"), INCOMPLETE, "'Signature"),
        (replaced("Credential=[^,]*, ", ""), INCOMPLETE, "Authorization header requires 'Credential' parameter."),
        (replaced("SignedHeaders=[^,]*, ", ""), INCOMPLETE, "Authorization header requires 'SignedHeaders' param"),
        (replaced(", Signature=.*", ""), INCOMPLETE, "Authorization header requires 'Signature' parameter."),
        (replaced(";host", ""), SIGNATURE, "'Host' or ':authority' must be a 'SignedHeader'"),
        (replaced("Credential=[^/]*/", "Credential="), INCOMPLETE, "Credential must have exactly 5 slash-delimited"),
        (replaced("/rekognition/", "/s3/"), SIGNATURE, "Credential should be scoped to correct service"),
        (replaced("aws4_request", "aws5"), SIGNATURE, "Credential should be scoped with a valid terminator"),
        (replaced("Credential=[^/]*/", "Credential=AKIDNOBODY/"), *UNKNOWN),
        (replaced("Signature=.*", "Signature=" + "0" * 64), SIGNATURE, "The request signature we calculated"),
    ],
    ids=["3", "4", "5-credential", "5-headers", "5-signature", "6", "10", "11-service", "11-term", "12", "14"],
)
def test_rows_of_the_header_form(change: Change, code: str, begins: str, wire: Any) -> None:
    found, message = with_authorization(wire, change)
    assert (found, message[: len(begins)]) == (code, begins)


def test_row_1_both_forms_at_once(wire: Any) -> None:
    found = with_authorization(wire, str, path="/?X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert found == (
        SIGNATURE,
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    )


@pytest.mark.parametrize(
    ("date", "begins"), [("", "Authorization header requires existence"), ("soon", "Date must be in ISO-8601")]
)
def test_rows_5_and_7_the_date(date: str, begins: str, wire: Any) -> None:
    code, message = with_authorization(wire, str, date=date)
    assert (code, message[: len(begins)]) == (INCOMPLETE, begins)


@pytest.mark.parametrize("name", ["Credential", "Signature", "SignedHeaders", "Date"])
def test_row_5_of_the_query_form(name: str, wire: Any) -> None:
    values = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": "a/b/c/d/e", "Signature": "0", "SignedHeaders": "host"}
    values |= {"Date": "20180710T071714Z"}
    query = "&".join(f"X-Amz-{each}={quote(value)}" for each, value in values.items() if each != name)
    code, message = refused(wire.send("POST", b"{}", HEADERS, f"/?{query}"))
    assert (code, message.split(". ")[0]) == (INCOMPLETE, f"AWS query-string parameters must include 'X-Amz-{name}'")


def test_row_12_a_session_without_its_token_or_with_another(send_as: Callable[..., Any]) -> None:
    """Nothing tells these from an unknown key."""
    client = send_as(key="session")
    signed = client.sign(b"{}", HEADERS)
    for token in (None, "not mine"):
        sent = {name: value for name, value in signed.items() if name != "X-Amz-Security-Token"}
        sent |= {} if token is None else {"X-Amz-Security-Token": token}
        assert refused(client.send("POST", b"{}", HEADERS | sent)) == UNKNOWN


def test_row_12_a_token_that_is_not_signed(server: Any) -> None:
    session = server.keys["session"]
    client = Wire(replace(server, keys={"full": structs.replace(session, session_token=None)}))
    signed = client.sign(b"{}", HEADERS) | {"X-Amz-Security-Token": session.session_token}
    assert refused(client.send("POST", b"{}", HEADERS | signed)) == UNKNOWN


# Decisions of policies. An empty request of a key that may compare is refused for its members, so no photo is needed.

PolicyTrial = Callable[..., str]


@pytest.fixture(scope="session")
def decision_of(server: Any, keys: tuple[Path, dict[str, Record]]) -> PolicyTrial:
    """The error of a request by a new key with these statements, and by a session of it with `session`."""

    def trial(*statements: Any, body: Any = None, session: Any = None) -> str:
        record = create_key(keys[0], "trial", account="111122223333", policy={"Statement": list(statements)})
        if session is not None:
            record = create_session(keys[0], record.id, policy={"Statement": session})
        answer = Wire(replace(server, keys={"full": record})).post({} if body is None else body)
        assert answer.status == 400
        return str(json.loads(answer.body)["__type"])

    return trial


ALLOWED, DENIED = "ValidationException", "AccessDeniedException"


def when(condition: dict[str, Any], effect: str = "Allow") -> dict[str, Any]:
    return ALLOW | {"Effect": effect, "Condition": condition}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([ALLOW], ALLOWED),
        ([ALLOW | {"Action": "rekognition:*"}], ALLOWED),
        ([ALLOW | {"Action": "REKOGNITION:Compare?aces"}], ALLOWED),
        ([ALLOW | {"Action": "rekognition:DetectFaces"}], DENIED),
        ([ALLOW | {"Resource": "arn:aws:rekognition:*:*:*"}], DENIED),
        ([{"Effect": "Allow", "NotAction": "rekognition:CompareFaces", "Resource": "*"}], DENIED),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], ALLOWED),
        ([ALLOW, ALLOW | {"Effect": "Deny"}], DENIED),
        ([ALLOW | {"Effect": "Deny"}, ALLOW], DENIED),
        ([when({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})], ALLOWED),
        ([when({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], DENIED),
        ([when({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}})], DENIED),
        ([when({"Bool": {"aws:SecureTransport": "true"}})], DENIED),
        ([ALLOW, when({"Bool": {"aws:SecureTransport": "false"}}, "Deny")], DENIED),
    ],
)
def test_a_policy_decides(statements: list[Any], expected: str, decision_of: PolicyTrial) -> None:
    assert decision_of(*statements) == expected


@pytest.mark.parametrize(
    ("operator", "past", "future"),
    [
        ("DateEquals", DENIED, DENIED),
        ("DateNotEquals", ALLOWED, ALLOWED),
        ("DateLessThan", DENIED, ALLOWED),
        ("DateLessThanEquals", DENIED, ALLOWED),
        ("DateGreaterThan", ALLOWED, DENIED),
        ("DateGreaterThanEquals", ALLOWED, DENIED),
    ],
)
def test_a_policy_decides_by_the_servers_clock(operator: str, past: str, future: str, decision_of: PolicyTrial) -> None:
    for time, expected in (("2020-01-01T00:00:00Z", past), ("2200-01-01T00:00:00Z", future)):
        condition = {operator: {"aws:CurrentTime": time}}
        assert decision_of(when(condition)) == expected
        assert decision_of(ALLOW, when(condition, "Deny")) == (DENIED if expected == ALLOWED else ALLOWED)


@pytest.mark.parametrize(
    ("session", "expected"),
    [([ALLOW], ALLOWED), ([ALLOW | {"Action": "s3:*"}], DENIED), ([ALLOW, ALLOW | {"Effect": "Deny"}], DENIED)],
)
def test_a_session_only_narrows(session: list[Any], expected: str, decision_of: PolicyTrial) -> None:
    assert decision_of(ALLOW, session=session) == expected
    assert decision_of(ALLOW | {"Action": "s3:*"}, session=session) == DENIED


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}, "InvalidImageFormatException"),
        ({"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/other/*"}, "InvalidS3ObjectException"),
        ({"Action": "s3:GetObjectVersion", "Resource": "*"}, "InvalidS3ObjectException"),
        ({"Action": "s3:*", "NotResource": f"arn:aws:s3:::{BUCKET}/*"}, "InvalidS3ObjectException"),
    ],
)
def test_an_object_needs_permission(
    statement: dict[str, str], expected: str, decision_of: PolicyTrial, s3_versions: dict[str, str]
) -> None:
    """The object is empty: who may read it learns that it is no photo, everybody else nothing."""
    image = {"S3Object": {"Bucket": BUCKET, "Name": "empty.jpg"}}
    body = {"SourceImage": image, "TargetImage": image}
    assert decision_of(ALLOW, {"Effect": "Allow", **statement}, body=body) == expected
