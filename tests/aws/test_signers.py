"""Requests that botocore has signed, in a header and in the query."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from likeness.aws.errors import SignatureError
from likeness.aws.keys import Key
from likeness.aws.signature import Identity, Request, Rules, verify

KEY = Key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "kiosk", "111122223333", ())
TEMPORARY = replace(KEY, id="ASIAEXAMPLE", session_token="token/with+signs==")
BODY = b'{"SourceImage": {"Bytes": "AAAA"}}'
HOST = [("Host", "localhost:8080")]


def check(headers: list[tuple[str, str]], body: bytes, **options: Any) -> Identity:
    request = Request("POST", options.pop("path", "/"), options.pop("query"), headers, body)
    asked = {name: options.pop(name) for name in ("lookup_key", "now")}
    return verify(request, Rules(**options), **asked)


def refused(headers: list[tuple[str, str]], body: bytes, **options: Any) -> tuple[str, str]:
    with pytest.raises(SignatureError) as raised:
        check(headers, body, **options)
    return raised.value.code, str(raised.value.text)


@pytest.mark.parametrize("signed_headers", [False, True])
@pytest.mark.parametrize("token", [None, "token/with+signs=="])
def test_botocore_signs(token: str | None, signed_headers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    key = TEMPORARY if token else KEY
    request = AWSRequest("POST", "http://localhost:8080/some%20path/?a=b%20c&a=B", data=BODY)
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    request.headers["User-Agent"] = "Boto3/1.40"
    if signed_headers:
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(BODY).hexdigest()
    SigV4Auth(Credentials(key.id, key.secret, token), "rekognition", "us-west-2").add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    headers = [*HOST, *((n, _text(v)) for n, v in prepared.headers.items())]
    identity = check(headers, BODY, path=url.path, query=url.query, now=datetime.now(UTC), lookup_key=lambda _: key)
    assert (identity.key.id, identity.region) == (key.id, "us-west-2")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def presigned(expires: int = 60, key: Key = KEY) -> tuple[str, datetime]:
    # botocore would move a JSON body into the query, which is of no use to this protocol (specification section 3.2).
    request = AWSRequest("POST", "http://localhost:8080/")
    request.headers["Host"] = "localhost:8080"
    credentials = Credentials(key.id, key.secret, key.session_token)
    SigV4QueryAuth(credentials, "rekognition", "us-west-2", expires=expires).add_auth(request)
    return urlsplit(request.prepare().url).query, datetime.now(UTC)


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["key", "temporary"])
def test_a_presigned_request(key: Key) -> None:
    query, now = presigned(key=key)
    known = {"lookup_key": lambda _: key}
    assert check(HOST, b"", query=query, now=now, **known).key.id == key.id
    mismatch = "The request signature we calculated does not match"
    for added in ("&a=b", "&x-amz-signature=0"):
        assert refused(HOST, b"", query=query + added, now=now, **known)[1].startswith(mismatch)
    assert refused(HOST, BODY, query=query, now=now, **known)[1].startswith(mismatch)
    code, text = refused(HOST, b"", query=query, now=now + timedelta(minutes=2), **known)
    assert code == "InvalidSignatureException"
    assert text.startswith("Signature expired: ")
    code, text = refused(HOST, b"", query=query, now=now - timedelta(minutes=6), **known)
    assert code == "InvalidSignatureException"
    assert text.startswith("Signature not yet current: ")


def test_a_presigned_request_lives_for_a_week_at_most() -> None:
    query, now = presigned(expires=9_999_999)
    known = {"lookup_key": lambda _: KEY}
    assert check(HOST, b"", query=query, now=now + timedelta(days=6), **known).key.id == KEY.id
    code, text = refused(HOST, b"", query=query, now=now + timedelta(days=8), **known)
    assert code == "InvalidSignatureException"
    assert text.startswith("Signature expired: ")


@pytest.mark.parametrize("expires", ["-1", "x", "1" * 5000, ""])
def test_a_presigned_request_with_an_odd_life(expires: str) -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=a&X-Amz-SignedHeaders=host"
        f"&X-Amz-Date=20180710T071714Z&X-Amz-Expires={expires}"
    )
    answer = refused(HOST, b"", query=query, now=datetime.now(UTC), lookup_key=lambda _: KEY)
    assert answer == ("IncompleteSignatureException", "X-Amz-Expires should be a number")
