"""The cases with capo-rekognition, which shares no code with botocore."""

import json
import sys
from pathlib import Path

from capo_rekognition import RekognitionClient
from capo_rekognition.errors._base import ServiceError, UnknownServiceError

given = json.loads(sys.argv[1])


def stored(name):
    return {"s3_object": {"bucket": given["bucket"], "name": name}}


def inline(name):
    return {"bytes": Path(given["files"][name]).read_bytes()}


def outcome(key, source):
    identity, secret, token = given["keys"][key]
    credentials = {"access_key": identity, "secret_key": secret, "session_token": token or None}
    with RekognitionClient(region="eu-central-1", endpoint=given["url"], credentials=credentials) as client:
        try:
            answer = client.compare_faces(source_image=source, target_image=inline("again"))
        except UnknownServiceError as error:
            return error.code
        except ServiceError as error:
            return type(error).__name__
    return f"{len(answer['face_matches'])} match"


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
sys.stdout.write(json.dumps({name: outcome(*case) for name, case in cases.items()}))
