"""The cases with boto3, of any version."""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

given: dict[str, Any] = json.loads(sys.argv[1])


def photo(name: str) -> dict[str, Any]:
    return {"Bytes": Path(given["files"][name]).read_bytes()}


def stored(name: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": given["bucket"], "Name": name}}


CASES = {
    "bytes": ("full", photo("person")),
    "stored": ("full", stored("person.jpg")),
    "session": ("session", photo("person")),
    "nobody": ("full", photo("no-face")),
    "text": ("full", photo("text")),
    "missing": ("full", stored("missing.jpg")),
    "denied": ("denied", photo("person")),
    "revoked": ("revoked", photo("person")),
}


def outcome(key: str, source: dict[str, Any]) -> str:
    key_id, secret, token = given["keys"][key]
    session = boto3.Session(key_id, secret, token or None, region_name="eu-central-1")
    once = Config(retries={"max_attempts": 0})
    client = session.client("rekognition", endpoint_url=given["url"], config=once)
    try:
        answer = client.compare_faces(SourceImage=source, TargetImage=photo("again"))
    except ClientError as error:
        name: str = error.response["Error"]["Code"]
        own = getattr(client.exceptions, name, ClientError)
        return name if isinstance(error, own) else f"not boto3's own: {error!r}"
    return f"{len(answer['FaceMatches'])} match"


sys.stdout.write(json.dumps({name: outcome(*case) for name, case in CASES.items()}))
