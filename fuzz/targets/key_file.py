"""The key file of a server: damaged, half-written, or written by hand."""

import json

from fuzz.formats import file_of
from fuzz.target import Target
from likeness.aws.keys import load_keys
from likeness.errors import SettingsError


def run(data: bytes) -> None:
    """Loads the keys; each has an ARN, and none shows its secret."""
    for key in load_keys(file_of(data, "keys.json")).values():
        assert key.arn
        assert key.principal_id
        assert "secret" not in repr(key)


def seeds() -> list[bytes]:
    """A key and a session."""
    policy = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    common = {"secret": "secret", "user": "kiosk", "account": "0" * 12, "created": "2026-01-01T00:00:00Z"}
    key = common | {"id": "AKIA" + "A" * 16, "policy": policy, "expires": "2030-01-31T12:00:00Z", "active": True}
    session = common | {"id": "ASIA" + "A" * 16, "parent": key["id"], "session_token": "token"}
    return [json.dumps({"version": 1, "keys": keys}).encode() for keys in ([key], [key, session])]


TARGET = Target(
    run,
    (SettingsError,),
    seeds,
    tokens=(
        *(b'"keys"', b'"id"', b'"policy"', b'"parent"', b'"session_token"', b'"expires"', b'"created"', b'"account"'),
        *(b'"user"', b'"active"', b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59+23:59"', b"{}", b"[]", b"null"),
    ),
)
