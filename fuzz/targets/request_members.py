"""The JSON body of CompareFaces: its members, their types and constraints, and the answer to what is refused."""

import base64
import json

from fuzz.target import Target
from likeness.aws import protocol
from likeness.aws.errors import WireError
from likeness.aws.shapes import CompareFacesRequest
from likeness.errors import InvalidImageFormat, InvalidParameter, InvalidS3Object, RequestError


def run(data: bytes) -> None:
    """Parses and validates; a refusal can be written as a response."""
    try:
        request = protocol.validate(protocol.parse_body(data))
    except (RequestError, WireError) as error:
        response = protocol.failure(error, "id", verbose=True)
        assert response.status < 500, response
        json.loads(response.body)
        raise
    assert isinstance(request, CompareFacesRequest)
    json.loads(data)
    repr(request)
    request.shortened()


def seeds() -> list[bytes]:
    """Requests with bytes, with objects, and with other types."""
    photo = base64.b64encode(b"\xff\xd8\xff\xe0photo").decode()
    inline, stored = {"Bytes": photo}, {"S3Object": {"Bucket": "photos", "Name": "a.jpg", "Version": "1"}}
    documents: list[dict[str, object]] = [
        {"SourceImage": inline, "TargetImage": inline, "SimilarityThreshold": 80, "QualityFilter": "AUTO"},
        {"SourceImage": stored, "TargetImage": stored, "SimilarityThreshold": "NaN"},
        {"SourceImage": {"Bytes": "_-" + photo}, "TargetImage": None, "Unknown": [{}] * 3},
        {"SourceImage": [], "TargetImage": 1, "SimilarityThreshold": 1e40, "QualityFilter": "\u2028"},
    ]
    return [json.dumps(each).encode() for each in documents]


TARGET = Target(
    run,
    (WireError, InvalidParameter, InvalidS3Object, InvalidImageFormat),
    seeds,
    tokens=(
        *(b'"SourceImage"', b'"TargetImage"', b'"Bytes"', b'"S3Object"', b'"Bucket"', b'"Name"', b'"Version"'),
        *(
            b'"SimilarityThreshold"',
            b'"QualityFilter"',
            b'"NONE"',
            b'"Infinity"',
            b'"\\ud800"',
            b"==",
            b"-0.0",
            b"1E400",
        ),
    ),
)
