"""Signatures: every row of table 3.2, with requests signed by hand, and signers other than botocore."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.aws.errors import SignatureError
from likeness.aws.keys import Key
from likeness.aws.signature import Identity, Request, Rules, canonical_path, verify

NOW = datetime(2018, 7, 10, 7, 17, 14, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = Key("AKIDEXAMPLE", SECRET, "kiosk", "111122223333", ())
TEMPORARY = replace(KEY, id="ASIAEXAMPLE", session_token="token/with+signs==", expires=NOW + timedelta(hours=1))
INACTIVE = replace(KEY, id="AKIDINACTIVE", active=False)
EXPIRED = replace(TEMPORARY, id="ASIAEXPIRED", expires=NOW - timedelta(seconds=1))
KEYS = {key.id: key for key in (KEY, TEMPORARY, INACTIVE, EXPIRED)}
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
BODY = b'{"SourceImage": {"Bytes": "AAAA"}}'


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Signed:
    """A request signed by hand, straight from the published recipe; change a field before `headers()` to break it."""

    key_id: str = KEY.id
    secret: str = SECRET
    time: datetime = NOW
    region: str = "eu-central-1"
    service: str = "rekognition"
    terminator: str = "aws4_request"
    algorithm: str = "AWS4-HMAC-SHA256"
    day: str = ""
    body: bytes = BODY
    path: str = "/"
    query: str = ""
    canonical_query: str | None = None
    extra: list[tuple[str, str]] = field(default_factory=list)
    unsigned: list[tuple[str, str]] = field(default_factory=list)
    leave_out: tuple[str, ...] = ()
    signed_again: tuple[str, ...] = ()
    canonical_path: str = "/"
    payload: str | None = None
    authorization: str | None = None

    def headers(self) -> list[tuple[str, str]]:
        stamp = self.time.strftime("%Y%m%dT%H%M%SZ")
        base = [
            ("Host", "localhost:8080"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Target", "RekognitionService.CompareFaces"),
            ("Content-Type", "application/x-amz-json-1.1"),
            *self.extra,
        ]
        values: dict[str, list[str]] = {}
        for name, value in base:
            if name.lower() not in self.leave_out:
                values.setdefault(name.lower(), []).append(" ".join(value.split()))
        names = sorted([*values, *self.signed_again])
        scope = f"{self.day or stamp[:8]}/{self.region}/{self.service}/{self.terminator}"
        canonical = "\n".join(
            [
                "POST",
                self.canonical_path,
                self.query if self.canonical_query is None else self.canonical_query,
                *(f"{name}:{','.join(values[name])}" for name in names),
                "",
                ";".join(names),
                self.payload or digest(self.body),
            ]
        )
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, digest(canonical.encode())])
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        authorization = self.authorization or (
            f"{self.algorithm} Credential={self.key_id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return [*base, *self.unsigned, ("Authorization", authorization)]

    def verify(self, **options: Any) -> Identity:
        return check(self.headers(), self.body, **{"path": self.path, "query": self.query} | options)

    def refused(self, **options: Any) -> tuple[str, str | None]:
        with pytest.raises(SignatureError) as raised:
            self.verify(**options)
        return raised.value.code, raised.value.text


def check(
    headers: list[tuple[str, str]], body: bytes = BODY, *, path: str = "/", query: str = "", **more: Any
) -> Identity:
    asked = {name: more.pop(name) for name in ("lookup_key", "now") if name in more}
    request = Request(more.pop("method", "POST"), path, query, headers, body)
    return verify(request, Rules(**more), **({"lookup_key": KEYS.get, "now": NOW} | asked))


def refused(headers: list[tuple[str, str]], **options: Any) -> tuple[str, str | None]:
    with pytest.raises(SignatureError) as raised:
        check(headers, **options)
    return raised.value.code, raised.value.text


def test_a_good_signature_names_its_key_and_region() -> None:
    identity = Signed().verify()
    assert (identity.key.user_name, identity.region) == ("kiosk", "eu-central-1")


# Rows of table 3.2, by number.


def test_row_1_header_and_query() -> None:
    assert Signed(query="X-Amz-Algorithm=AWS4-HMAC-SHA256").refused() == (
        "InvalidSignatureException",
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    )


def test_row_2_neither() -> None:
    expected = ("MissingAuthenticationTokenException", "Missing Authentication Token")
    assert refused([("Host", "localhost")]) == expected


@pytest.mark.parametrize("algorithm", ["AWS4-ECDSA-P256-SHA256", "Basic", "aws4-hmac-sha256", "AWS4-HMAC-SHA512"])
def test_row_3_algorithm(algorithm: str) -> None:
    expected = ("IncompleteSignatureException", f"Unsupported AWS 'algorithm': '{algorithm}'.")
    assert Signed(algorithm=algorithm).refused() == expected
    assert refused([], query=f"X-Amz-Algorithm={algorithm}") == expected


def test_row_4_a_parameter_without_an_equal_sign() -> None:
    value = "AWS4-HMAC-SHA256 Credential=a, Signature"
    assert Signed(authorization=value).refused() == (
        "IncompleteSignatureException",
        "'Signature' not a valid key=value pair (missing equal-sign) in Authorization header: "
        "'AWS4-HMAC-SHA256 Credential=a, Signature'.",
    )


def test_row_4_two_authorization_headers_are_one_that_cannot_be_read() -> None:
    """Joined as HTTP joins repeated headers; neither the first nor the last may be chosen."""
    good = Signed().headers()
    authorization = next(value for name, value in good if name == "Authorization")
    other = ("Authorization", "AWS4-HMAC-SHA256 Other=x")
    for headers in (
        [*good, ("Authorization", authorization)],
        [("authorization", authorization), *good],
        [*good, other],
    ):
        code, text = refused(headers)
        assert code == "IncompleteSignatureException"
        assert text is not None
        assert "not a valid key=value pair" in text


@pytest.mark.parametrize("name", ["Credential", "SignedHeaders", "Signature"])
def test_row_4_a_parameter_twice(name: str) -> None:
    code, _ = refused(changed("Authorization", lambda value: f"{value}, {name}=x"))
    assert code == "IncompleteSignatureException"


def test_row_5_missing_parts_are_all_named() -> None:
    date = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
    assert refused([("Host", "h"), ("Authorization", "AWS4-HMAC-SHA256")]) == (
        "IncompleteSignatureException",
        "Authorization header requires 'Credential' parameter. "
        "Authorization header requires 'Signature' parameter. "
        f"Authorization header requires 'SignedHeaders' parameter. {date} Authorization=AWS4-HMAC-SHA256",
    )
    complete = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=c"
    assert refused([("Authorization", complete)]) == (
        "IncompleteSignatureException",
        f"{date} Authorization={complete}",
    )


def test_row_5q_missing_parts_of_the_query() -> None:
    code, text = refused([("Host", "h")], query="X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a")
    assert code == "IncompleteSignatureException"
    assert text == (
        "AWS query-string parameters must include 'X-Amz-Credential'. "
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
        "AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."
    )


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Signature", "SignedHeaders", "Date", "Expires"])
def test_row_5q_a_repeated_parameter_is_invalid(name: str) -> None:
    values = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": "a/b/c/d/e", "Signature": "0", "SignedHeaders": "host"}
    values |= {"Date": "20180710T071714Z", "Expires": "60"}
    pairs = [*values.items(), (name, values[name])]
    query = "&".join(f"X-Amz-{key}={value}" for key, value in pairs)
    with pytest.raises(SignatureError, match=f"must include 'X-Amz-{name}'") as caught:
        check([("Host", "x")], query=query)
    assert caught.value.code == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "date",
    ["99991231T235959Z", "00010101T000000Z", "Fri, 31 Dec 9999 23:59:59 -0100", "Mon, 01 Jan 0001 00:00:00 +0100"],
)
@pytest.mark.parametrize("expires", ["604800", "9999999", "0", None])
def test_dates_at_the_limits_of_datetime_raise_a_signature_error(date: str, expires: str | None) -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA/99991231/us-east-1/rekognition/aws4_request"
    query += f"&X-Amz-Date={quote(date)}&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
    query += f"&X-Amz-Expires={expires}" if expires else ""
    with pytest.raises(SignatureError):
        check([("Host", "x")], query=query)
    with pytest.raises(SignatureError):
        check(changed("X-Amz-Date", lambda _: date))


def test_a_year_has_four_digits() -> None:
    code, message = refused(changed("X-Amz-Date", lambda _: "00010101T000000Z"))
    assert code == "InvalidSignatureException"
    assert message.startswith("Signature expired: 00010101T000000Z is now earlier than ")


def test_the_work_grows_with_the_head_and_not_with_its_square() -> None:
    """A header named again and again would be hashed each time."""
    text = "x" * 10_000
    headers = [*changed("Authorization", lambda value: value.replace("host;", "host;" + "a;" * 2_000)), ("a", text)]
    looked_up = 0

    class Counted(str):
        def lower(self) -> str:
            nonlocal looked_up
            looked_up += 1
            return super().lower()

    many = [(Counted(f"h{number}"), "") for number in range(500)]
    names = ";".join(name for name, _ in many)
    named = [*changed("Authorization", lambda value: value.replace("host;", f"host;{names};")), *many]
    assert refused(headers) == ("InvalidSignatureException", MISMATCH)
    assert refused(named) == ("InvalidSignatureException", MISMATCH)
    assert looked_up == len(many)


def test_row_6_host_not_signed() -> None:
    expected = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    assert Signed(leave_out=("host",)).refused() == ("InvalidSignatureException", expected)


@pytest.mark.parametrize(
    "date", ["yesterday", "2018-07-10T07:17:14Z", "20180740T071714Z", "20180710T071714", "20180710"]
)
def test_row_7_an_invalid_date(date: str) -> None:
    assert refused(changed("X-Amz-Date", lambda _: date)) == (
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


def test_rows_8_and_9_the_captured_texts() -> None:
    early = datetime(2018, 7, 7, 23, 30, 21, tzinfo=UTC)
    assert Signed(time=early).refused() == (
        "InvalidSignatureException",
        "Signature expired: 20180707T233021Z is now earlier than 20180710T071214Z (20180710T071714Z - 5 min.)",
    )
    assert Signed(time=NOW + timedelta(minutes=6)).refused() == (
        "InvalidSignatureException",
        "Signature not yet current: 20180710T072314Z is still later than 20180710T072214Z (20180710T071714Z + 5 min.)",
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_window_ends_at_five_minutes_and_can_be_set(sign: int) -> None:
    Signed(time=NOW + sign * timedelta(minutes=5)).verify(now=NOW + timedelta(microseconds=999_999))
    late = Signed(time=NOW + sign * timedelta(minutes=5, seconds=1))
    assert late.refused()[0] == "InvalidSignatureException"
    late.verify(skew=timedelta(minutes=15))
    assert "15 min.)" in str(Signed(time=NOW + sign * timedelta(hours=1)).refused(skew=timedelta(minutes=15))[1])


@pytest.mark.parametrize("credential", ["AKIDEXAMPLE", "a/b/c/d", "a/b/c/d/e/f"])
def test_row_10_the_credential_has_five_parts(credential: str) -> None:
    headers = Signed(
        authorization=f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=a"
    ).headers()
    assert refused(headers) == (
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        f"got '{credential}'",
    )


REGION = "Credential should be scoped to a valid region, not 'eu-central-1'."
SERVICE = "Credential should be scoped to correct service: 'rekognition'."
TERMINATOR = "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'."
DAY = (
    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
    "'20180709' != '20180710', from '20180710T071714Z'."
)


def test_row_11_the_scope() -> None:
    invalid = "InvalidSignatureException"
    assert Signed().refused(regions=["us-east-1"]) == (invalid, REGION)
    assert Signed(service="s3").refused() == (invalid, SERVICE)
    assert Signed(terminator="aws5").refused() == (invalid, TERMINATOR)
    assert Signed(day="20180709").refused() == (invalid, DAY)
    assert Signed(service="s3", terminator="aws5", day="20180709").refused(regions=[]) == (
        invalid,
        f"{REGION} {SERVICE} {TERMINATOR} {DAY}",
    )
    Signed().verify(regions=["eu-central-1"])
    assert Signed(region="").refused() == (invalid, "Credential should be scoped to a valid region, not ''.")


UNRECOGNIZED = ("UnrecognizedClientException", "The security token included in the request is invalid.")


@pytest.mark.parametrize(
    "request_",
    [
        Signed(key_id="AKIDNOBODY"),
        Signed(key_id=INACTIVE.id),
        Signed(extra=[("X-Amz-Security-Token", "not mine")]),
        Signed(key_id=TEMPORARY.id),
        Signed(key_id=TEMPORARY.id, extra=[("X-Amz-Security-Token", "wrong")]),
        Signed(key_id=TEMPORARY.id, extra=[("X-Amz-Security-Token", "wröng")]),
        Signed(key_id=TEMPORARY.id, unsigned=[("X-Amz-Security-Token", "token/with+signs==")]),
    ],
    ids=["unknown", "inactive", "token for a plain key", "no token", "wrong token", "odd token", "unsigned token"],
)
def test_row_12_who(request_: Signed) -> None:
    assert request_.refused() == UNRECOGNIZED


def test_row_13_expired() -> None:
    request = Signed(key_id=EXPIRED.id, extra=[("X-Amz-Security-Token", "token/with+signs==")])
    assert request.refused() == ("ExpiredTokenException", "The security token included in the request is expired")


def test_temporary_credentials_are_accepted() -> None:
    Signed(key_id=TEMPORARY.id, extra=[("X-Amz-Security-Token", "token/with+signs==")]).verify()


def changed(name: str, change: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(n, change(v) if n == name else v) for n, v in Signed().headers()]


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        (Signed(secret="wrong").headers(), {}),
        (Signed().headers(), {"body": BODY + b" "}),
        (Signed().headers(), {"method": "GET"}),
        (Signed().headers(), {"path": "/other"}),
        (Signed().headers(), {"query": "a=b"}),
        (changed("Host", lambda _: "10.0.0.1"), {}),
        ([*Signed().headers(), ("x-amz-target", "again")], {}),
        (changed("Authorization", lambda v: v[:-1] + ("0" if v[-1] != "0" else "1")), {}),
        (changed("Authorization", lambda v: v.replace("Signature=", "Signature=é")), {}),
        (changed("Authorization", lambda v: v.replace("SignedHeaders=", "SignedHeaders=x-missing;")), {}),
    ],
    ids=[
        "secret",
        "body",
        "method",
        "path",
        "query",
        "host",
        "header twice",
        "last digit",
        "not ASCII",
        "unsent header",
    ],
)
def test_row_14_what_does_not_match(headers: list[tuple[str, str]], options: dict[str, Any]) -> None:
    assert refused(headers, **options) == ("InvalidSignatureException", MISMATCH)


def test_row_14_a_header_that_is_signed_twice() -> None:
    """No signer does that, and each repetition of a long header would be hashed."""
    assert Signed(signed_again=("host",)).refused() == ("InvalidSignatureException", MISMATCH)


def test_a_signature_in_the_query_is_a_parameter_like_others_beside_one_in_a_header() -> None:
    query = "X-Amz-Signature=a"
    Signed(query=query, canonical_query=query).verify()
    assert Signed(query=query, canonical_query=query).refused(query="") == ("InvalidSignatureException", MISMATCH)
    assert Signed().refused(query=query) == ("InvalidSignatureException", MISMATCH)


def test_rows_come_in_their_order() -> None:
    stale = Signed(time=NOW - timedelta(days=3), service="s3", key_id="AKIDNOBODY")
    assert str(stale.refused()[1]).startswith("Signature expired")
    assert Signed(service="s3", key_id="AKIDNOBODY").refused()[1] == SERVICE
    assert Signed(key_id="AKIDNOBODY", secret="wrong").refused() == UNRECOGNIZED


@pytest.mark.parametrize("size", [1_000, 1_000_000, 14_000_000])
@pytest.mark.parametrize("form", ["header", "query"])
def test_a_refused_key_takes_the_work_of_a_wrong_signature(
    form: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes and their lengths are counted, as times would differ on a busy machine for other reasons."""
    body, done = bytes(size), list[tuple[str, int]]()

    def counted(function: Callable[..., Any], place: int) -> Callable[..., Any]:
        def count(*arguments: Any) -> Any:
            done.append((function.__name__, len(arguments[place])))
            return function(*arguments)

        return count

    monkeypatch.setattr("likeness.aws.signature.hashlib.sha256", counted(hashlib.sha256, 0))
    monkeypatch.setattr("likeness.aws.signature.hmac.digest", counted(hmac.digest, 1))
    monkeypatch.setattr("likeness.aws.signature.hmac.compare_digest", counted(hmac.compare_digest, 0))

    headers, query = _wrongly_signed(form)

    def work(key: Key | None) -> tuple[str, list[tuple[str, int]]]:
        done.clear()
        code, _ = refused(headers, body=body, query=query, lookup_key=lambda _: key)
        return code, list(done)

    code, expected = work(KEY)
    assert code == "InvalidSignatureException"
    assert ("openssl_sha256", size) in expected
    assert work(None) == ("UnrecognizedClientException", expected)
    assert work(INACTIVE) == ("UnrecognizedClientException", expected)
    assert work(TEMPORARY) == ("UnrecognizedClientException", expected)
    assert work(replace(KEY, expires=NOW)) == ("ExpiredTokenException", expected)


@pytest.mark.parametrize("form", ["header", "query"])
def test_signatures_and_tokens_are_compared_in_constant_time(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = list[bytes]()

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append(theirs)
        return ours == theirs

    monkeypatch.setattr("likeness.aws.signature.hmac.compare_digest", compare)
    signed = Signed(secret="wrong", extra=[("X-Amz-Security-Token", "another")])
    headers, query = (signed.headers(), "") if form == "header" else _wrongly_signed(form)
    query += "&X-Amz-Security-Token=another" if query else ""
    assert refused(headers, query=query, lookup_key=lambda _: TEMPORARY) == UNRECOGNIZED
    signature, token = compared
    assert len(signature) == 64
    assert token == b"another"


def _wrongly_signed(form: str) -> tuple[list[tuple[str, str]], str]:
    """The headers and the query of a request that claims a key in this form."""
    headers = Signed(secret="wrong").headers()
    if form == "header":
        return headers, ""
    scope = "20180710/eu-central-1/rekognition/aws4_request"
    values = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": f"{KEY.id}/{scope}", "Date": "20180710T071714Z"}
    values |= {"SignedHeaders": "host", "Signature": "0" * 64}
    query = "&".join(f"X-Amz-{name}={quote(value, safe='')}" for name, value in values.items())
    return [header for header in headers if header[0] != "Authorization"], query


# The payload's hash.


def test_a_sent_hash_is_used_and_checked() -> None:
    sent = [("x-amz-content-sha256", digest(BODY))]
    Signed(extra=sent).verify()
    assert refused(Signed(extra=sent).headers(), body=b"tampered") == ("InvalidSignatureException", MISMATCH)
    shouted = digest(BODY).upper()
    Signed(extra=[("x-amz-content-sha256", shouted)], payload=shouted).verify()
    unsigned = Signed(unsigned=[("x-amz-content-sha256", digest(b"other"))])
    assert unsigned.refused() == ("InvalidSignatureException", MISMATCH)


def test_unsigned_payload_only_where_it_is_allowed() -> None:
    request = Signed(extra=[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], payload="UNSIGNED-PAYLOAD")
    assert request.refused() == ("InvalidSignatureException", MISMATCH)
    request.verify(allow_unsigned_payload=True)
    Signed().verify(allow_unsigned_payload=True)


# Other signers' habits.


def test_java_signs_user_agent_and_content_length() -> None:
    java = [
        ("User-Agent", "aws-sdk-java/1.11.297  Linux/4.9   OpenJDK"),
        ("Content-Length", str(len(BODY))),
        ("amz-sdk-invocation-id", "5b8e1a2c"),
        ("amz-sdk-retry", "0/0/500"),
        ("Connection", "keep-alive"),
        ("Expect", "100-continue"),
    ]
    Signed(extra=java).verify()


def test_repeated_and_padded_headers() -> None:
    Signed(extra=[("X-Mine", "  b   c "), ("X-Other", "1"), ("x-mine", "a")]).verify()


def test_a_date_header_in_place_of_x_amz_date() -> None:
    request = Signed(leave_out=("x-amz-date",))
    headers = [("Date", "Tue, 10 Jul 2018 07:17:14 GMT"), *(h for h in request.headers() if h[0] != "X-Amz-Date")]
    assert check(headers).key.id == KEY.id


def test_paths_with_a_prefix() -> None:
    Signed(path="/rekognition/", canonical_path="/rekognition/").verify()
    Signed(path="//a/./b/../c%20d", canonical_path="/a/c%2520d").verify()


def test_a_query_is_sorted_and_encoded_anew() -> None:
    Signed(query="b=2&a=%7e&a=%20&c", canonical_query="a=%20&a=~&b=2&c=").verify()


# Laws.


@given(st.text(max_size=30), st.text(max_size=30), st.binary(max_size=40), st.text("abc\t -_/", max_size=20))
def test_signed_requests_are_accepted_and_changed_ones_refused(name: str, value: str, body: bytes, header: str) -> None:
    query = f"{quote(name, safe='')}={quote(value, safe='')}" if name else ""
    request = Signed(query=query, canonical_query=_canonical(name, value), body=body, extra=[("X-Any", header)])
    request.verify()
    assert refused(request.headers(), body=body + b"x", query=query) == ("InvalidSignatureException", MISMATCH)


def _canonical(name: str, value: str) -> str:
    return f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" if name else ""


#: What a header or a request line can hold: any octets, decoded as `verify` asks.
any_octets = st.binary(max_size=60).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


@given(any_octets, any_octets, any_octets, any_octets)
def test_no_request_breaks_the_verifier(authorization: str, date: str, path: str, query: str) -> None:
    for value in (authorization, f"AWS4-HMAC-SHA256 {authorization}", Signed().headers()[-1][1] + authorization):
        headers = [("Host", "h"), ("X-Amz-Date", date), ("Authorization", value)]
        assert refused(headers, path=path, query=query)[0].endswith("Exception")
    assert refused([], query=f"X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}&X-Amz-Date={date}")[0].endswith("Exception")


@given(st.lists(st.sampled_from(["", ".", "..", "a", "b c", "ä"]), max_size=8))
def test_canonical_paths_are_absolute_and_have_no_dots(segments: list[str]) -> None:
    path = canonical_path("/" + "/".join(segments))
    assert path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))
    assert "//" not in path
