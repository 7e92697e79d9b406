"""The conformance vectors of specification section 13, by number, against a running server.

Vector 42, the published signature suite, is in `tests/aws/test_published_suite.py`; 40 and 41, about clients, are in
`test_clients_*.py`.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.engine

BUCKET = "photos-test"
INVALID = {
    "__type": "InvalidParameterException",
    "Code": "InvalidParameterException",
    "Message": "Request has invalid parameters",
}
NO_IMAGE = {
    "__type": "InvalidImageFormatException",
    "Code": "InvalidImageFormatException",
    "Message": "Request has invalid image format",
}
NO_OBJECT = {
    "__type": "InvalidS3ObjectException",
    "Code": "InvalidS3ObjectException",
    "Message": "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
}
Make = Callable[..., dict[str, Any]]


def validation(*sentences: str) -> tuple[int, dict[str, str]]:
    count = f"{len(sentences)} validation error{'s' if len(sentences) > 1 else ''} detected: "
    return 400, {"__type": "ValidationException", "message": count + "; ".join(sentences)}


def rule(value: str, path: str, text: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {text}"


def serialization(text: str | None = None) -> tuple[int, dict[str, str]]:
    return 400, {"__type": "SerializationException"} | ({} if text is None else {"Message": text})


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_vector_01_the_same_photo_twice(wire: Any, request_with: Make) -> None:
    answer = wire.post(request_with())
    assert answer.status == 200
    found = answer.json
    assert list(found) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert list(found["SourceImageFace"]) == ["BoundingBox", "Confidence"]
    assert [match["Similarity"] for match in found["FaceMatches"]] == [100.0]
    assert found["UnmatchedFaces"] == []
    face = found["FaceMatches"][0]["Face"]
    assert [each["Type"] for each in face["Landmarks"]] == ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
    assert list(face)[:5] == ["BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"]
    # Digits of IEEE singles, compact, nothing null; headers as captured.
    assert json.dumps(found, separators=(",", ":")).encode() == answer.body
    box = face["BoundingBox"]
    assert all(float(np.float32(value)) == value for value in box.values())
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-requestid"]) == 36
    assert "server" not in answer.headers


def test_vector_02_threshold_0(wire: Any, request_with: Make, photos: Any) -> None:
    found = wire.post(request_with(target=photos.other_person, SimilarityThreshold=0)).json
    assert len(found["FaceMatches"]) == 1
    assert found["UnmatchedFaces"] == []


def test_vector_03_strangers_at_100(wire: Any, request_with: Make, photos: Any) -> None:
    found = wire.post(request_with(target=photos.other_person, SimilarityThreshold=100)).json
    assert found["FaceMatches"] == []
    assert len(found["UnmatchedFaces"]) == 1
    assert "Similarity" not in found["UnmatchedFaces"][0]


def test_vector_04_threshold_above_100(wire: Any, request_with: Make) -> None:
    expected = rule("100.1", "similarityThreshold", "have value less than or equal to 100")
    assert wire.post(request_with(SimilarityThreshold=100.1)).error == validation(expected)


def test_vector_05_threshold_below_0(wire: Any, request_with: Make) -> None:
    expected = rule("-0.1", "similarityThreshold", "have value greater than or equal to 0")
    assert wire.post(request_with(SimilarityThreshold=-0.1)).error == validation(expected)


def test_vector_06_threshold_as_a_text(wire: Any, request_with: Make) -> None:
    expected = serialization("STRING_VALUE can not be converted to a Float")
    assert wire.post(request_with(SimilarityThreshold="80")).error == expected


def test_vector_07_threshold_null_is_80(wire: Any, request_with: Make, photos: Any) -> None:
    default = wire.post(request_with(target=photos.person_again, SimilarityThreshold=None))
    assert default.status == 200
    assert default.json == wire.post(request_with(target=photos.person_again, SimilarityThreshold=80)).json


def test_vector_08_a_bare_nan(wire: Any, request_with: Make) -> None:
    data = json.dumps(request_with(SimilarityThreshold=float("nan"))).encode()
    assert b"NaN" in data
    assert wire.post(data).error == serialization()


def test_vector_09_an_unknown_quality_filter(wire: Any, request_with: Make) -> None:
    expected = rule("BEST", "qualityFilter", "satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]")
    assert wire.post(request_with(QualityFilter="BEST")).error == validation(expected)


NULL = "Value null at '{}' failed to satisfy constraint: Member must not be null"


def test_vector_10_no_target(wire: Any, request_with: Make) -> None:
    body = request_with()
    del body["TargetImage"]
    assert wire.post(body).error == validation(NULL.format("targetImage"))


def test_vector_11_no_images(wire: Any) -> None:
    assert wire.post({}).error == validation(NULL.format("sourceImage"), NULL.format("targetImage"))


def test_vector_12_empty_bytes(wire: Any, request_with: Make) -> None:
    buffer = "java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]"
    expected = rule(buffer, "sourceImage.bytes", "have length greater than or equal to 1")
    assert wire.post(request_with({"Bytes": ""})).error == validation(expected)


def test_vector_13_the_largest_photo(wire: Any, request_with: Make, photos: Any) -> None:
    largest = photos.person.ljust(5_242_880, b"\0")
    assert wire.post(request_with(largest, largest)).status == 200
    buffer = "java.nio.HeapByteBuffer[pos=0 lim=5242881 cap=5242881]"
    expected = rule(buffer, "targetImage.bytes", "have length less than or equal to 5242880")
    assert wire.post(request_with(target=largest + b"\0")).error == validation(expected)


def test_vector_14_base64_of_five_characters(wire: Any, request_with: Make) -> None:
    text = (
        "'abcde' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 5"
    )
    assert wire.post(request_with({"Bytes": "abcde"})).error == serialization(text)


def test_vector_15_base64_twice(wire: Any, request_with: Make, photos: Any) -> None:
    assert wire.post(request_with(b64encode(photos.person))).error == (400, NO_IMAGE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "noise"])
def test_vector_16_other_formats(kind: str, wire: Any, request_with: Make, photos: Any) -> None:
    data = b"\xff" * 5000 if kind == "noise" else encoded(photos.pixels(photos.person), kind)
    assert wire.post(request_with(data)).error == (400, NO_IMAGE)
    assert wire.post(request_with(target=data)).error == (400, NO_IMAGE)


@pytest.mark.parametrize("size", [(79, 200), (200, 79)])
def test_vector_17_a_small_photo(size: tuple[int, int], wire: Any, request_with: Make, photos: Any) -> None:
    small = photos.jpeg(photos.pixels(photos.person).resize(size))
    assert wire.post(request_with(small)).error == (400, INVALID)


def test_vector_18_nobody_in_the_source(wire: Any, request_with: Make, photos: Any) -> None:
    assert wire.post(request_with(photos.no_face)).error == (400, INVALID)


def test_vector_19_nobody_in_the_target(wire: Any, request_with: Make, photos: Any) -> None:
    assert wire.post(request_with(target=photos.no_face)).error == (400, INVALID)


def stored(name: str, bucket: str = BUCKET, **members: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": bucket, "Name": name} | members}


@pytest.mark.parametrize(
    ("key", "reference"),
    [
        ("full", stored("missing.jpg")),
        ("full", stored("person.jpg", bucket="no-such-bucket")),
        ("full", stored("person.jpg", Version="no-such-version")),
        ("no-s3", stored("person.jpg")),
    ],
    ids=["key", "bucket", "version", "denied"],
)
def test_vector_20_objects_that_cannot_be_had(
    key: str, reference: Any, send_as: Callable[..., Any], request_with: Make
) -> None:
    assert send_as(key=key).post(request_with(target=reference)).error == (400, NO_OBJECT)
    assert send_as(key=key).post(request_with(reference)).error == (400, NO_OBJECT)


def test_vector_21_an_object_too_large(wire: Any, request_with: Make) -> None:
    too_large = {
        "__type": "ImageTooLargeException",
        "Code": "ImageTooLargeException",
        "Message": "Image size is too large",
    }
    assert wire.post(request_with(target=stored("large.jpg"))).error == (400, too_large)


def test_vector_22_a_bucket_that_is_no_name(wire: Any, request_with: Make) -> None:
    path = "sourceImage.s3Object.bucket"
    assert wire.post(request_with(stored("x", bucket="a!"))).error == validation(
        rule("a!", path, "have length greater than or equal to 3"),
        rule("a!", path, r"satisfy regular expression pattern: [0-9A-Za-z\.\-_]*"),
    )


@pytest.mark.parametrize(
    "target", ["rekognitionservice.comparefaces", None, "RekognitionService.DetectFaces", "AnyScaleFrontend.Other"]
)
def test_vector_27_other_targets(target: str | None, wire: Any, request_with: Make) -> None:
    answer = wire.post(request_with(), X_Amz_Target=target)
    assert (answer.status, answer.body) == (400, b'{"__type":"UnknownOperationException"}')


@pytest.mark.parametrize("content_type", ["application/x-amz-json-1.0", None, "application/json"])
def test_vector_28_other_content_types(content_type: str | None, wire: Any, request_with: Make) -> None:
    answer = wire.post(request_with(), Content_Type=content_type)
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


def test_vector_29_a_content_type_with_a_charset(wire: Any, request_with: Make) -> None:
    assert wire.post(request_with(), Content_Type="application/x-amz-json-1.1; charset=utf-8").status == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"{", None), (b"", None), (b"null", None), (b"[]", "Start of list found where not expected")],
)
def test_vector_30_bodies_that_are_none(body: bytes, text: str | None, wire: Any) -> None:
    assert wire.post(body).error == serialization(text)


def test_vector_30_comes_before_authentication(wire: Any) -> None:
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    assert wire.send("POST", b"{", headers).error == serialization()


def test_vector_39_unknown_members(wire: Any, request_with: Make) -> None:
    body = request_with(Unknown={"deep": [1, {"er": None}]})
    body["SourceImage"]["Unknown"] = "x"
    assert wire.post(body).status == 200
    assert wire.post(request_with(target=stored("person.jpg", Unknown="x"))).status == 200
