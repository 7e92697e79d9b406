"""Vector 42: the published Signature Version 4 test suite (Apache-2.0), read from the evaluation data if present.

Its requests are plain text for a service called `service`, so each is parsed here and passed to the functions that
`verify` uses, and then to `verify` itself. Without the data, `test_signature.py` covers the same rules.

Two cases are special. `post-x-www-form-urlencoded` has a misprint: its canonical request lists `content-type` among the
headers but not in the line of signed headers, and its hash differs from that in its string to sign.
`post-x-www-form-urlencoded-parameters` belongs to a service that accepts a form as its query; this protocol has no
forms, so the parser here moves the body, as that service does before it verifies.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from likeness.aws.errors import SignatureError
from likeness.aws.keys import Key
from likeness.aws.signature import Request, Rules, canonical_request, sign, signing_key, string_to_sign, verify

SCOPE = "20150830/us-east-1/service/aws4_request"
STAMP = "20150830T123600Z"
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

#: The cases of the suite, so that each is a test of its own and a missing one is noticed.
CASES = [
    "get-header-key-duplicate",
    "get-header-value-multiline",
    "get-header-value-order",
    "get-header-value-trim",
    "get-unreserved",
    "get-utf8",
    "get-vanilla",
    "get-vanilla-empty-query-key",
    "get-vanilla-query",
    "get-vanilla-query-order-key",
    "get-vanilla-query-order-key-case",
    "get-vanilla-query-order-value",
    "get-vanilla-query-unreserved",
    "get-vanilla-utf8-query",
    "normalize-path/get-relative",
    "normalize-path/get-relative-relative",
    "normalize-path/get-slash",
    "normalize-path/get-slash-dot-slash",
    "normalize-path/get-slash-pointless-dot",
    "normalize-path/get-slashes",
    "normalize-path/get-space",
    "post-header-key-case",
    "post-header-key-sort",
    "post-header-value-case",
    "post-sts-token/post-sts-header-after",
    "post-sts-token/post-sts-header-before",
    "post-vanilla",
    "post-vanilla-empty-query-value",
    "post-vanilla-query",
    "post-x-www-form-urlencoded",
    "post-x-www-form-urlencoded-parameters",
]


MISPRINTED = "post-x-www-form-urlencoded"


@dataclass(frozen=True)
class Case:
    request: Request
    canonical: str
    to_sign: str
    authorization: str

    @property
    def signed_headers(self) -> list[str]:
        found = re.search("SignedHeaders=([^,]+)", self.authorization)
        assert found is not None
        return found.group(1).split(";")


@pytest.fixture(scope="session")
def suite(data_dir: Path) -> Path:
    return data_dir / "sigv4" / "aws-sig-v4-test-suite"


@pytest.fixture(params=CASES)
def case(suite: Path, request: pytest.FixtureRequest) -> Case:
    folder = suite / request.param
    text = {
        suffix: folder.joinpath(f"{folder.name}.{suffix}").read_bytes() for suffix in ("req", "creq", "sts", "authz")
    }
    canonical = _text(text["creq"])
    if folder.name == MISPRINTED:
        canonical = canonical.replace("\nhost;x-amz-date\n", "\ncontent-type;host;x-amz-date\n")
    return Case(read_request(text["req"]), canonical, _text(text["sts"]), _text(text["authz"]))


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def read_request(octets: bytes) -> Request:
    """A request of the suite: unencoded blanks in the path, headers continued on the next line."""
    head, _, body = _text(octets).partition("\n\n")
    first, *lines = head.split("\n")
    method, target = first.split(" ", 1)
    path, _, query = target.rsplit(" ", 1)[0].partition("?")
    headers = list(_headers(lines))
    if body and any(name == "Content-Type" and "form-urlencoded" in value for name, value in headers):
        query, body = body, ""
    return Request(method, path, query, headers, body.encode())


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    name = ""
    for line in lines:
        if line.startswith(" "):
            # The suite counts each continuation as one more value of the header.
            yield name, line
        else:
            name, _, value = line.partition(":")
            yield name, value


def test_every_case_of_the_suite_is_here(suite: Path) -> None:
    assert sorted(str(file.parent.relative_to(suite)) for file in suite.rglob("*.creq")) == CASES


def test_the_misprint_is_still_one(suite: Path) -> None:
    canonical, to_sign = (_text((suite / MISPRINTED / f"{MISPRINTED}.{end}").read_bytes()) for end in ("creq", "sts"))
    assert string_to_sign(canonical, STAMP, SCOPE) != to_sign


def test_canonical_request(case: Case) -> None:
    payload = case.canonical.rsplit("\n", 1)[1]
    assert canonical_request(case.request, case.signed_headers, payload) == case.canonical


def test_string_to_sign(case: Case) -> None:
    assert string_to_sign(case.canonical, STAMP, SCOPE) == case.to_sign


def test_signature(case: Case) -> None:
    assert case.authorization.endswith(f"Signature={sign(case.to_sign, signing_key(SECRET, SCOPE))}")


def test_the_whole_request_is_accepted_and_a_changed_one_is_not(case: Case) -> None:
    token = case.request.header("x-amz-security-token")
    key = Key("AKIDEXAMPLE", SECRET, "user", "111122223333", (), session_token=token)
    request = case.request

    def attempt(body: bytes) -> str:
        headers = [*request.headers, ("Authorization", case.authorization)]
        signed = Request(request.method, request.path, request.query, headers, body)
        found = verify(signed, Rules(service="service"), lookup_key={key.id: key}.get, now=NOW)
        return found.region

    assert attempt(bytes(request.body)) == "us-east-1"
    with pytest.raises(SignatureError, match="does not match"):
        attempt(bytes(request.body) + b"x")
