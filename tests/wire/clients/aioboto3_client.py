"""The cases with aioboto3, all of them at once."""

import asyncio
import json
import sys
from pathlib import Path

import aioboto3
from botocore.exceptions import ClientError

given = json.loads(sys.argv[1])


def stored(name):
    return {"S3Object": {"Bucket": given["bucket"], "Name": name}}


def inline(name):
    return {"Bytes": Path(given["files"][name]).read_bytes()}


async def outcome(key, source):
    identity, secret, token = given["keys"][key]
    session = aioboto3.Session(identity, secret, token or None, region_name="eu-central-1")
    async with session.client("rekognition", endpoint_url=given["url"]) as client:
        try:
            answer = await client.compare_faces(SourceImage=source, TargetImage=inline("again"))
        except ClientError as error:
            modelled = type(error) is not ClientError
            return type(error).__name__ if modelled else error.response["Error"]["Code"]
        return f"{len(answer['FaceMatches'])} match"


async def main():
    cases = {
        "bytes": ("full", inline("person")),
        "stored": ("full", stored("person.jpg")),
        "session": ("session", inline("person")),
        "nobody": ("full", inline("no-face")),
        "text": ("full", inline("text")),
        "missing": ("full", stored("missing.jpg")),
        "denied": ("denied", inline("person")),
        "revoked": ("revoked", inline("person")),
    }
    outcomes = await asyncio.gather(*(outcome(*case) for case in cases.values()))
    sys.stdout.write(json.dumps(dict(zip(cases, outcomes, strict=True))))


asyncio.run(main())
