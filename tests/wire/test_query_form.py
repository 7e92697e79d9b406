"""Table 3.2 from outside for signatures in the query string, made by hand from the recipe of section 3.1."""

import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.engine

HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
BODY = b"{}"
#: An empty request whose signature is right is refused for its members.
ALLOWED = ("ValidationException", "2 validation errors detected: ")
SIGNATURE, INCOMPLETE = "InvalidSignatureException", "IncompleteSignatureException"
UNKNOWN = ("UnrecognizedClientException", "The security token included in the request is invalid.")
EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")
MISMATCH = (SIGNATURE, "The request signature we calculated does not match the signature you provided. ")


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")


class Presigned:
    """Sends requests for a key, signed in the query string."""

    def __init__(self, wire: Any, key: str = "full") -> None:
        self._wire = wire
        self._record = wire.server.keys[key]

    def query(self, changed: dict[str, str | None] | None = None, secret: str | None = None) -> str:
        """A signed query; `changed` parameters, without X-Amz-, are signed as changed, and left out where None."""
        stamp = (changed or {}).get("Date") or ago(0)
        scope = f"{stamp[:8]}/eu-central-1/rekognition/aws4_request"
        signed = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": f"{self._record.id}/{scope}", "Date": stamp}
        signed |= {"Expires": "60", "SignedHeaders": "content-type;host;x-amz-target"}
        signed |= {"Security-Token": self._record.session_token} if self._record.session_token else {}
        kept = {f"X-Amz-{name}": value for name, value in (signed | (changed or {})).items() if value is not None}
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(kept.items()))
        host = "{}:{}".format(*self._wire.server.address)
        lines = [f"content-type:{HEADERS['Content-Type']}", f"host:{host}", f"x-amz-target:{HEADERS['X-Amz-Target']}"]
        names = signed["SignedHeaders"]
        canonical = "\n".join(["POST", "/", query, *lines, "", names, hashlib.sha256(BODY).hexdigest()])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + (secret or self._record.secret)).encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return f"{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"

    def send(self, query: str, headers: dict[str, str] | None = None, body: bytes = BODY) -> tuple[str, str]:
        """The error of a request with this query."""
        answer = self._wire.send("POST", body, HEADERS | (headers or {}), f"/?{query}")
        assert answer.status == 400
        return answer.json["__type"], answer.json["message"]


Trial = Callable[..., tuple[str, str]]


@pytest.fixture
def trial(wire: Any) -> Trial:
    """The error of a request of the key `full`, whose signed parameters are changed."""

    def send(**changed: str | None) -> tuple[str, str]:
        presigned = Presigned(wire)
        return presigned.send(presigned.query({name.replace("_", "-"): each for name, each in changed.items()}))

    return send


def assert_is(found: tuple[str, str], expected: tuple[str, str]) -> None:
    assert (found[0], found[1][: len(expected[1])]) == expected


@pytest.mark.parametrize("key", ["full", "session"])
def test_a_signed_query_is_accepted(key: str, wire: Any) -> None:
    presigned = Presigned(wire, key)
    assert_is(presigned.send(presigned.query()), ALLOWED)


def test_row_1_both_forms_at_once(wire: Any) -> None:
    presigned = Presigned(wire)
    both = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    assert presigned.send(presigned.query(), wire.sign(BODY, HEADERS)) == (SIGNATURE, both)


def test_row_2_parameters_without_the_algorithm_are_no_signature(trial: Trial) -> None:
    assert trial(Algorithm=None) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


@pytest.mark.parametrize(
    ("changed", "code", "begins"),
    [
        ({"Algorithm": "AWS4-ECDSA-P256-SHA256"}, INCOMPLETE, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."),
        ({"SignedHeaders": "content-type;x-amz-target"}, SIGNATURE, "'Host' or ':authority' must be a 'SignedHeader'"),
        ({"Date": "soon"}, INCOMPLETE, "Date must be in ISO-8601 'basic format'. Got 'soon'."),
        ({"Credential": "AKID/20260101/eu-central-1/rekognition"}, INCOMPLETE, "Credential must have exactly 5 slash-"),
        (
            {"Credential": f"AKID/{ago(0)[:8]}/r/s3/aws4_request"},
            SIGNATURE,
            "Credential should be scoped to correct se",
        ),
        (
            {"Credential": f"AKID/{ago(0)[:8]}/r/rekognition/aws5"},
            SIGNATURE,
            "Credential should be scoped with a valid ",
        ),
        (
            {"Credential": f"AKID/{ago(0)[:8]}//rekognition/aws4_request"},
            SIGNATURE,
            "Credential should be scoped to a ",
        ),
        (
            {"Credential": "AKID/20200101/r/rekognition/aws4_request"},
            SIGNATURE,
            "Date in Credential scope does not mat",
        ),
        ({"Expires": "soon"}, INCOMPLETE, "X-Amz-Expires should be a number"),
        ({"Credential": f"AKIDNOBODY/{ago(0)[:8]}/r/rekognition/aws4_request"}, *UNKNOWN),
        ({"Security_Token": "a key has none"}, *UNKNOWN),
        ({"SignedHeaders": "host"}, *MISMATCH),
    ],
    ids=["3", "6", "7", "10", "11-service", "11-term", "11-region", "11-date", "life", "12", "12-token", "14"],
)
def test_rows_of_the_query_form(changed: dict[str, str], code: str, begins: str, trial: Trial) -> None:
    assert_is(trial(**changed), (code, begins))


@pytest.mark.parametrize(
    ("minutes", "life", "expected"),
    [
        (2, "60", (SIGNATURE, "Signature expired: ")),
        (2, "300", ALLOWED),
        (30, "3600", ALLOWED),
        (6, None, (SIGNATURE, "Signature expired: ")),
        (4, None, ALLOWED),
        (8 * 24 * 60, "9999999", (SIGNATURE, "Signature expired: ")),
        (-6, "60", (SIGNATURE, "Signature not yet current: ")),
        (-4, "60", ALLOWED),
    ],
)
def test_rows_8_and_9_a_query_lives_as_long_as_it_says(
    minutes: float, life: str | None, expected: tuple[str, str], trial: Trial
) -> None:
    assert_is(trial(Date=ago(minutes), Expires=life), expected)


def test_rows_12_and_13_keys_and_sessions_that_are_not_in_force(wire: Any) -> None:
    revoked, session, expired = (Presigned(wire, key) for key in ("revoked", "session", "expired"))
    assert revoked.send(revoked.query()) == UNKNOWN
    assert session.send(session.query({"Security-Token": None})) == UNKNOWN
    assert session.send(session.query({"Security-Token": "not mine"})) == UNKNOWN
    ends = wire.server.keys["expired"].expires
    while datetime.now(UTC) <= ends:
        time.sleep(0.05)
    assert expired.send(expired.query()) == EXPIRED


def test_row_14_a_wrong_secret_or_a_changed_request(wire: Any) -> None:
    presigned = Presigned(wire)
    query = presigned.query()
    assert_is(presigned.send(presigned.query(secret="wrong")), MISMATCH)
    assert_is(presigned.send(query + "&a=b"), MISMATCH)
    assert_is(presigned.send(query.replace("X-Amz-Expires=60", "X-Amz-Expires=90")), MISMATCH)
    assert_is(presigned.send(query, body=b"{ }"), MISMATCH)
    assert_is(presigned.send(query, {"Content-Type": "application/x-amz-json-1.1; charset=utf-8"}), MISMATCH)
