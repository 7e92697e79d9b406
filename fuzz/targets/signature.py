"""Signature Version 4 in the header and in a presigned query; nothing without the secret is let in."""

from datetime import UTC, datetime

from fuzz.target import Target
from likeness.aws import protocol
from likeness.aws.errors import SignatureError
from likeness.aws.keys import Key
from likeness.aws.signature import Request, Rules, verify

NOW = datetime(2018, 7, 10, 7, 17, 14, tzinfo=UTC)
SCOPE = b"AKIDEXAMPLE/20180710/us-east-1/rekognition/aws4_request"
KEYS = {
    "AKIDEXAMPLE": Key("AKIDEXAMPLE", "a secret that no input has", "kiosk", "111122223333", ()),
    "ASIAEXAMPLE": Key("ASIAEXAMPLE", "another secret", "kiosk", "111122223333", (), session_token="token"),
}


def run(data: bytes) -> None:
    """Reads a request line, headers and a body, as the server passes them on, and verifies the signature."""
    head, _, body = data.partition(b"\n\n")
    line, *lines = head.decode("utf-8", "surrogateescape").split("\n")
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    headers = [(name.lower(), value) for name, colon, value in (each.partition(":") for each in lines) if colon]
    request = Request(method, path, query, headers, body)
    rules = Rules(regions=("us-east-1",) if len(body) % 2 else None, allow_unsigned_payload=len(body) % 3 == 0)
    try:
        verify(request, rules, lookup_key=KEYS.get, now=NOW)
    except SignatureError as error:
        assert protocol.failure(error, "id").body
        str(error).encode("utf-8", "surrogateescape")
        raise
    raise AssertionError("a request was let in that nobody signed")


def seeds() -> list[bytes]:
    """Requests that are complete but for the right signature."""
    signed = b"host;x-amz-date"
    credential = b"Credential=%s, SignedHeaders=%s, Signature=%s" % (SCOPE, signed, b"0" * 64)
    query = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s&X-Amz-Date=20180710T071714Z&X-Amz-Expires=60"
    query = query % SCOPE.replace(b"/", b"%2F") + b"&X-Amz-SignedHeaders=host&X-Amz-Signature=" + b"0" * 64
    headers = b"\nhost:localhost\nx-amz-date:20180710T071714Z\nx-amz-content-sha256:UNSIGNED-PAYLOAD"
    return [
        b"POST /%s\nauthorization:AWS4-HMAC-SHA256 %s\n\n{}" % (headers, credential),
        b"POST /?%s\nhost:localhost\n\n{}" % query,
        b"POST /a/../b?x=1&y\nhost:a\ndate:Tue, 10 Jul 2018 07:17:14 GMT\nauthorization:AWS4-HMAC-SHA256 %s\n\n"
        % credential,
        b"POST /%s\nx-amz-security-token:token\nauthorization:AWS4-HMAC-SHA256 %s\n\n"
        % (headers, credential.replace(b"AKID", b"ASIA").replace(signed, signed + b";x-amz-security-token")),
    ]


TARGET = Target(
    run,
    (SignatureError,),
    seeds,
    tokens=(
        *(b"AWS4-HMAC-SHA256", b"Credential=", b"SignedHeaders=", b"Signature=", SCOPE, b"aws4_request", b"%2F", b";"),
        *(
            b"X-Amz-Algorithm=",
            b"X-Amz-Expires=",
            b"X-Amz-Security-Token=",
            b"604800",
            b"20180710T071714Z",
            b"99991231",
        ),
        *(
            b"host",
            b"\nauthorization:",
            b"\nx-amz-date:",
            b"\ndate:Mon, 01 Jan 0001 00:00:00 +2359",
            b"%",
            b"\xff",
            b"+9999",
        ),
    ),
)
