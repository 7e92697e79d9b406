"""Verification of Signature Version 4 (specification section 3).

It does not use botocore's signer, which drops headers that other clients sign (`user-agent`, `expect`, ...): exactly
the headers that the client lists in SignedHeaders are hashed, as received.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from urllib.parse import quote, unquote_to_bytes

from likeness.aws.errors import SignatureError
from likeness.aws.keys import Key
from likeness.aws.quoting import Quoting, quoting

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
DEFAULT_SKEW = timedelta(minutes=5)
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
#: The longest lifetime of a presigned request: a week (the signer's specification).
_MAX_EXPIRES_SECONDS = 604_800
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_UNRESERVED = "-_.~"

#: Signs in place of the secret of a key that does not exist; as long as those of `likeness keys create`.
_NO_SECRET = "0" * 40

#: Optional parameters of a presigned query.
_OPTIONAL_PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Expires", "X-Amz-Security-Token")

_INCOMPLETE = "IncompleteSignatureException"
_INVALID = "InvalidSignatureException"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The signer: the key, and the region of its credential scope."""

    key: Key
    region: str


@dataclass(frozen=True, repr=False)
class Request:
    """The signed parts of a request.

    `path` and `query` are as on the request line (percent-encoded, without '?'), `headers` (name, value) in the order
    received, including repeated ones; all are decoded as UTF-8 with `surrogateescape`.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes | bytearray | memoryview

    @cached_property
    def values(self) -> dict[str, list[str]]:
        """The values of each header by lower-case name. Cached, as clients determine the number of lookups."""
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name.lower(), []).append(value)
        return values

    def header(self, name: str) -> str | None:
        """The values of a header joined with commas, None if it is absent. `name` is in lower case."""
        values = self.values.get(name)
        return ",".join(values) if values else None

    def parameters(self) -> list[tuple[str, str]]:
        """The query's names and values, decoded; invalid UTF-8 is kept as surrogates."""
        pairs = (each.partition("=") for each in self.query.split("&") if each)
        return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


@dataclass(frozen=True, slots=True, repr=False)
class _Claim:
    """The authorisation values of a request, in header or query form."""

    credential: str
    signed_headers: tuple[str, ...]
    signature: str
    date: str
    token: str | None
    expires_seconds: int | None = None
    presigned: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """A server's rules for signatures: clock skew, regions (None: any) and service of the scope, unsigned payloads."""

    skew: timedelta = DEFAULT_SKEW
    regions: Collection[str] | None = None
    service: str = "rekognition"
    allow_unsigned_payload: bool = False


def verify(
    request: Request, rules: Rules | None = None, *, lookup_key: Callable[[str], Key | None], now: datetime
) -> Identity:
    """The signer of the request. Raises SignatureError, by the first row of table 3.2 that applies.

    `now` is timezone-aware. An unknown, revoked or expired key takes the same work as a wrong signature: the
    time of the answer tells nothing about which keys exist, whatever the length of the body.
    """
    rules = rules or Rules()
    claim = _read_claim(request)
    if "host" not in claim.signed_headers and ":authority" not in claim.signed_headers:
        raise SignatureError(_INVALID, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    time = _read_time(claim.date)
    stamp = _basic(time)
    _check_time(time, claim, now, rules.skew)
    key_id, region = _check_scope(claim.credential, stamp, claim.date, rules.regions, rules.service)
    key = lookup_key(key_id)
    is_signed = _is_signed(request, claim, stamp, key.secret if key else _NO_SECRET, rules.allow_unsigned_payload)
    known = _check_key(key, claim, now)
    if not is_signed:
        raise SignatureError(_INVALID, _MISMATCH)
    return Identity(known, region)


def _read_claim(request: Request) -> _Claim:
    """Rows 1 to 5 of table 3.2."""
    authorization = request.header("authorization")
    parameters = request.parameters()
    if any(name == "X-Amz-Algorithm" for name, _ in parameters):
        if authorization is not None:
            text = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
            raise SignatureError(_INVALID, text)
        return _read_query_claim(parameters)
    if authorization is None:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    return _read_header_claim(authorization, request)


def _read_header_claim(authorization: str, request: Request) -> _Claim:
    algorithm, _, rest = authorization.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise SignatureError(_INCOMPLETE, quoting("Unsupported AWS 'algorithm': '{}'.", algorithm))
    parts: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in rest.split(","))):
        name, equals, value = part.partition("=")
        # Repeated Authorization headers are joined by commas; the second begins with an algorithm and a space.
        if not equals or " " in name.strip() or name.strip() in parts:
            text = "'{}' not a valid key=value pair (missing equal-sign) in Authorization header: '{}'."
            raise SignatureError(_INCOMPLETE, quoting(text, part, authorization))
        parts[name.strip()] = value.strip()
    date = request.header("x-amz-date") or request.header("date")
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not date:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing or not date:
        raise SignatureError(_INCOMPLETE, quoting(" ".join([*missing, "Authorization={}"]), authorization))
    signed = tuple(parts["SignedHeaders"].split(";"))
    return _Claim(parts["Credential"], signed, parts["Signature"], date, request.header("x-amz-security-token"))


def _read_query_claim(pairs: list[tuple[str, str]]) -> _Claim:
    parameters = dict(pairs)
    algorithm = parameters["X-Amz-Algorithm"]
    if algorithm != ALGORITHM:
        raise SignatureError(_INCOMPLETE, quoting("Unsupported AWS 'algorithm': '{}'.", algorithm))
    names = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    # A repeated parameter counts as missing, as parsers differ in which one they use.
    counts = Counter(name for name, _ in pairs)
    missing = [
        f"AWS query-string parameters must include '{name}'."
        for name in (*names, *_OPTIONAL_PARAMETERS)
        if counts[name] > 1 or (name in names and not parameters.get(name))
    ]
    if missing:
        raise SignatureError(_INCOMPLETE, " ".join([*missing, "Re-examine the query-string parameters."]))
    credential, signature, signed, date = (parameters[name] for name in names)
    expires = parameters.get("X-Amz-Expires")
    # A week has six digits; longer numbers exceed the limit and cost time to parse.
    if expires is not None and not re.fullmatch("[0-9]{1,7}", expires):
        raise SignatureError(_INCOMPLETE, "X-Amz-Expires should be a number")
    seconds = None if expires is None else min(int(expires), _MAX_EXPIRES_SECONDS)
    token = parameters.get("X-Amz-Security-Token")
    return _Claim(credential, tuple(signed.split(";")), signature, date, token, seconds, presigned=True)


def _read_time(text: str) -> datetime:
    """Row 7: basic ISO 8601, or the format of an HTTP `Date` header."""
    try:
        if re.fullmatch("[0-9]{8}T[0-9]{6}Z", text):
            return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
        time = parsedate_to_datetime(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        wanted = "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601"
        raise SignatureError(_INCOMPLETE, quoting(wanted, text)) from error


def _basic(time: datetime) -> str:
    """A time of whole seconds in basic ISO 8601."""
    # Some C libraries do not fill the %Y of strftime up to four digits.
    return f"{time:%Y%m%dT%H%M%SZ}".zfill(len("YYYYMMDDTHHMMSSZ"))


def _check_time(time: datetime, claim: _Claim, now: datetime, skew: timedelta) -> None:
    """Rows 8 and 9. A presigned request is valid for X-Amz-Expires; the skew applies only to its start."""
    now = now.astimezone(UTC).replace(microsecond=0)
    stamp, now_stamp = _basic(time), _basic(now)
    window = _window(skew)
    if claim.expires_seconds is not None:
        # Differences, not sums, which overflow near the year 9999.
        if now - time > timedelta(seconds=claim.expires_seconds):
            end = _basic(time + timedelta(seconds=claim.expires_seconds))
            raise SignatureError(_INVALID, f"Signature expired: {end} is now earlier than {now_stamp}")
    elif now - time > skew:
        earliest = _basic(now - skew)
        text = f"Signature expired: {stamp} is now earlier than {earliest} ({now_stamp} - {window})"
        raise SignatureError(_INVALID, text)
    if time - now > skew:
        latest = _basic(now + skew)
        text = f"Signature not yet current: {stamp} is still later than {latest} ({now_stamp} + {window})"
        raise SignatureError(_INVALID, text)


def _window(skew: timedelta) -> str:
    minutes, seconds = divmod(int(skew.total_seconds()), 60)
    return f"{minutes} min." if seconds == 0 else f"{minutes * 60 + seconds} s."


def _check_scope(
    credential: str, stamp: str, date: str, regions: Collection[str] | None, service: str
) -> tuple[str, str]:
    """Rows 10 and 11: the key id and the region."""
    elements = credential.split("/")
    if len(elements) != 5:
        wanted = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        raise SignatureError(_INCOMPLETE, quoting(wanted + ", got '{}'", credential))
    key_id, day, region, scoped_service, terminator = elements
    wrong = []
    if not region or (regions is not None and region not in regions):
        wrong.append(quoting("Credential should be scoped to a valid region, not '{}'.", region))
    if scoped_service != service:
        wrong.append(quoting("Credential should be scoped to correct service: '{}'.", service))
    if terminator != TERMINATOR:
        text = "Credential should be scoped with a valid terminator: '{}', not '{}'."
        wrong.append(quoting(text, TERMINATOR, terminator))
    if day != stamp[:8]:
        text = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        wrong.append(quoting(text + "'{}' != '{}', from '{}'.", day, stamp[:8], date))
    if wrong:
        raise SignatureError(_INVALID, Quoting(" ".join(wrong), " ".join(each.loggable for each in wrong)))
    return key_id, region


def _check_key(key: Key | None, claim: _Claim, now: datetime) -> Key:
    """Rows 12 and 13. A token sent as a header must be signed."""
    token_is_signed = claim.presigned or claim.token is None or "x-amz-security-token" in claim.signed_headers
    if key is None or not key.active or not token_is_signed or not _same(key.session_token, claim.token):
        raise SignatureError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if key.expires is not None and now >= key.expires:
        raise SignatureError("ExpiredTokenException", "The security token included in the request is expired")
    return key


def _same(ours: str | None, theirs: str | None) -> bool:
    """Whether both are equal, in constant time; None equals only None."""
    if ours is None or theirs is None:
        return ours is theirs
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogateescape"))


def _is_signed(request: Request, claim: _Claim, stamp: str, secret: str, allow_unsigned_payload: bool) -> bool:
    """Row 14: whether the signature is that of the request with this secret."""
    if len(set(claim.signed_headers)) < len(claim.signed_headers):
        return False  # no signer lists a header twice, and each repetition would cost time
    payload = _payload_hash(request, allow_unsigned_payload)
    if payload is None:
        return False
    scope = claim.credential.split("/", 1)[1]
    canonical = canonical_request(request, claim.signed_headers, payload, presigned=claim.presigned)
    expected = sign(string_to_sign(canonical, stamp, scope), signing_key(secret, scope))
    return hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "surrogateescape"))


def _payload_hash(request: Request, allow_unsigned: bool) -> str | None:
    """The hash for the canonical request; None if the client sends one that is not that of the body."""
    sent = request.header("x-amz-content-sha256")
    if sent == UNSIGNED_PAYLOAD and allow_unsigned:
        return UNSIGNED_PAYLOAD
    actual = hashlib.sha256(request.body).hexdigest()
    if sent is not None and not hmac.compare_digest(sent.lower().encode("utf-8", "surrogateescape"), actual.encode()):
        return None
    return actual if sent is None else sent


def canonical_request(
    request: Request,
    signed_headers: Sequence[str],
    payload_hash: str,
    *,
    presigned: bool = False,
    normalize: bool = True,
) -> str:
    """The text that is hashed.

    `normalize` False keeps the path unchanged, as S3 does (the published test suite has both).
    """
    return "\n".join(
        (
            request.method,
            canonical_path(request.path) if normalize else request.path,
            _canonical_query(request, presigned),
            *(f"{name}:{_canonical_value(request, name)}" for name in signed_headers),
            "",
            ";".join(signed_headers),
            payload_hash,
        )
    )


def canonical_path(path: str) -> str:
    """The path without empty and dot segments, with each received segment percent-encoded again."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(quote(segment.encode("utf-8", "surrogateescape"), safe=_UNRESERVED))
    trailing = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(kept) + trailing


def _canonical_query(request: Request, presigned: bool) -> str:
    encoded = sorted(
        (_encoded(name), _encoded(value))
        for name, value in request.parameters()
        if not (presigned and name == "X-Amz-Signature")
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


def _canonical_value(request: Request, name: str) -> str:
    values = request.values.get(name, [])
    if not values and name == ":authority":
        values = request.values.get("host", [])
    return ",".join(re.sub("[ \t]+", " ", value.strip()) for value in values)


def string_to_sign(canonical: str, stamp: str, scope: str) -> str:
    """`scope` is `YYYYMMDD/region/service/aws4_request`, `stamp` the basic ISO 8601 time."""
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return "\n".join((ALGORITHM, stamp, scope, digest))


def signing_key(secret: str, scope: str) -> bytes:
    """The secret, chained through the parts of the scope."""
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def sign(text: str, key: bytes) -> str:
    """The signature in lower-case hex."""
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


def _decoded(text: str) -> str:
    # In a SigV4 query '+' is a plus, not a space.
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=_UNRESERVED)
