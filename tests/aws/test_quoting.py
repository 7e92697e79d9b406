"""What callers choose is quoted whole for them, and briefly for the log."""

import base64
import random
from datetime import UTC, datetime

import pytest

from likeness.aws.errors import SignatureError, ValidationError
from likeness.aws.protocol import parse_body, validate
from likeness.aws.quoting import MOST, brief
from likeness.aws.signature import Request, Rules, verify

PIECE = base64.b64encode(random.Random(1).randbytes(60)).decode().replace("/", "+").replace("=", "+")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def is_shown(text: str) -> bool:
    return any(PIECE[start : start + MOST + 1] in text for start in range(len(PIECE) - MOST))


def test_short_values_are_whole_and_long_ones_are_not() -> None:
    assert brief("a" * MOST) == "a" * MOST
    assert brief("customers/2024/05/12/portrait.jpg") != "customers/2024/05/12/portrait.jpg"
    assert brief("customers/2024/05/12/portrait.jpg").startswith("customers/2024/0.../12/portrait.jpg (33 characters, ")
    assert "sha256" in brief("\udcff" * 40)


@pytest.mark.parametrize(
    ("authorization", "date"),
    [
        (PIECE, "20260301T120000Z"),
        (f"AWS4-HMAC-SHA256 {PIECE}", "20260301T120000Z"),
        (f"AWS4-HMAC-SHA256 Credential={PIECE}", "20260301T120000Z"),
        (f"AWS4-HMAC-SHA256 Credential={PIECE}, SignedHeaders=host, Signature=0", "20260301T120000Z"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0", PIECE),
        *[
            (
                "AWS4-HMAC-SHA256 Credential="
                + "/".join(PIECE if place == each else "" for each in range(5))
                + ", SignedHeaders=host, Signature=0",
                "20260301T120000Z",
            )
            for place in (1, 2, 4)
        ],
    ],
)
def test_errors_of_signatures(authorization: str, date: str) -> None:
    request = Request("POST", "/", "", [("authorization", authorization), ("x-amz-date", date), ("host", "x")], b"")
    with pytest.raises(SignatureError) as raised:
        verify(request, Rules(regions=["eu-west-1"]), lookup_key=lambda _: None, now=NOW)
    assert is_shown(raised.value.text or "")
    assert not is_shown(str(raised.value))


@pytest.mark.parametrize("member", ["QualityFilter", "SourceImage"])
def test_errors_of_constraints(member: str) -> None:
    values = {"QualityFilter": f'"{PIECE}"', "SourceImage": f'{{"S3Object": {{"Bucket": "{PIECE}", "Name": "a"}}}}'}
    with pytest.raises(ValidationError) as raised:
        validate(parse_body(f'{{"{member}": {values[member]}}}'.encode()))
    assert is_shown(raised.value.text or "")
    assert not is_shown(str(raised.value))
