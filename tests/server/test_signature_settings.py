"""What settings change in table 3.2, from outside: the regions of the scope, and how far a clock may be off."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from likeness.aws.keys import Record, create_key

from .conftest import HEADERS, Running, Serve


@pytest.fixture(scope="module")
def limited(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> tuple[Running, Record]:
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    key = create_key(keys, "user")
    return serve("--keys", str(keys), "--regions", "us-east-1,eu-west-1", "--clock-skew-seconds", "90"), key


def refusal(limited: tuple[Running, Record], region: str, seconds: int = 0) -> tuple[str, str]:
    """The error for an empty request of a client whose clock is off by so many seconds."""
    server, key = limited
    signer = SigV4Auth(Credentials(key.id, key.secret), "rekognition", region)
    request = AWSRequest("POST", server.url, HEADERS, b"{}")
    stamp = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    answer = json.loads(server.request(b"{}", dict(request.headers.items())).body)
    return answer["__type"], answer["message"]


@pytest.mark.parametrize(("region", "is_valid"), [("us-east-1", True), ("eu-west-1", True), ("eu-central-1", False)])
def test_regions(region: str, is_valid: bool, limited: tuple[Running, Record]) -> None:
    code, message = refusal(limited, region)
    if is_valid:
        assert code == "ValidationException"
    else:
        assert code == "InvalidSignatureException"
        assert message == "Credential should be scoped to a valid region, not 'eu-central-1'."


@pytest.mark.parametrize(
    ("seconds", "begins"),
    [(-30, ""), (30, ""), (-200, "Signature expired: "), (200, "Signature not yet current: ")],
)
def test_clock_skew(seconds: int, begins: str, limited: tuple[Running, Record]) -> None:
    code, message = refusal(limited, "us-east-1", seconds)
    assert code == ("InvalidSignatureException" if begins else "ValidationException")
    assert message.startswith(begins)
    assert (" 90 s.)" in message) == bool(begins)
