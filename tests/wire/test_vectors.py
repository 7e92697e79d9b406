"""The conformance vectors of specification section 13, by number, against a running server.

Vector 42, the published signature suite, is `tests/aws/test_published_suite.py`; 40 and 41 are about clients and stand
beside those of `test_clients_*.py`.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
MISMATCH = {
    "__type": "InvalidSignatureException",
    "message": "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details.",
}

Make = Callable[..., dict[str, Any]]


def validation(*sentences: str) -> tuple[int, dict[str, str]]:
    count = f"{len(sentences)} validation error{'s' if len(sentences) > 1 else ''} detected: "
    return 400, {"__type": "ValidationException", "message": count + "; ".join(sentences)}


def rule(value: str, path: str, text: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {text}"


def serialization(text: str | None = None) -> tuple[int, dict[str, str]]:
    return 400, {"__type": "SerializationException"} | ({} if text is None else {"Message": text})


def center(box: dict[str, float]) -> np.ndarray[Any, Any]:
    return np.array([box["Left"] + box["Width"] / 2, box["Top"] + box["Height"] / 2])


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
    found = wire.post(request_with(target=photos.stranger, SimilarityThreshold=0)).json
    assert len(found["FaceMatches"]) == 1
    assert found["UnmatchedFaces"] == []


def test_vector_03_strangers_at_100(wire: Any, request_with: Make, photos: Any) -> None:
    found = wire.post(request_with(target=photos.stranger, SimilarityThreshold=100)).json
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


#: How Exif's orientation is undone; storing the inverse makes a photo that looks the same once it is corrected.
STORE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """`image` stored so that Exif's `orientation` shows it upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = image.transpose(STORE[orientation]) if orientation in STORE else image
    return encoded(pixels, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_vector_23_exif_orientations(orientation: int, wire: Any, request_with: Make, photos: Any) -> None:
    upright = photos.pixels(photos.person)
    expected = wire.post(request_with(target=photos.jpeg(upright))).json
    found = wire.post(request_with(target=turned(upright, orientation)))
    assert found.status == 200, found.body
    boxes = [each["FaceMatches"][0]["Face"]["BoundingBox"] for each in (found.json, expected)]
    for name in ("Left", "Top", "Width", "Height"):
        assert boxes[0][name] == pytest.approx(boxes[1][name], abs=0.02)


def test_vector_24_a_png_is_taken_as_stored(wire: Any, request_with: Make, photos: Any) -> None:
    image = photos.pixels(photos.person)
    found = wire.post(request_with(target=turned(image, 6, "PNG"), SimilarityThreshold=0))
    assert found.status == 200, found.body
    upright = wire.post(request_with()).json["SourceImageFace"]["BoundingBox"]
    x, y = center(upright)
    face = found.json["FaceMatches"][0]["Face"]
    # Stored turned to the left: x becomes the distance from the bottom. The face is reported where it is stored.
    assert center(face["BoundingBox"]) == pytest.approx([y, 1 - x], abs=0.05)
    assert abs(face["Pose"]["Roll"]) > 45


def test_vector_25_a_face_cut_by_the_border(wire: Any, request_with: Make, photos: Any) -> None:
    image = photos.pixels(photos.person)
    box = wire.post(request_with()).json["SourceImageFace"]["BoundingBox"]
    cut = round((box["Left"] + 0.22 * box["Width"]) * image.width)
    found = wire.post(request_with(target=photos.jpeg(image.crop((cut, 0, image.width, image.height)))))
    assert found.status == 200, found.body
    faces = [match["Face"] for match in found.json["FaceMatches"]] + found.json["UnmatchedFaces"]
    assert any(face["BoundingBox"]["Left"] < 0 for face in faces)


def test_vector_26_more_than_a_hundred_faces(wire: Any, request_with: Make, photos: Any) -> None:
    image = photos.pixels(photos.person)
    box = wire.post(request_with()).json["SourceImageFace"]["BoundingBox"]
    x, y = center(box)
    half = 0.9 * box["Height"] * image.height
    head = image.crop(
        tuple(
            round(v)
            for v in (x * image.width - half, y * image.height - half, x * image.width + half, y * image.height + half)
        )
    ).resize((110, 110))
    crowd = Image.new("RGB", (12 * 110, 10 * 110))
    for number in range(120):
        crowd.paste(head, (number % 12 * 110, number // 12 * 110))
    found = wire.post(request_with(target=photos.jpeg(crowd)))
    assert found.status == 200, found.body
    assert len(found.json["FaceMatches"]) + len(found.json["UnmatchedFaces"]) == 100


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


def test_vector_31_no_signature(wire: Any) -> None:
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    answer = wire.send("POST", b"{}", headers)
    assert answer.error == (
        400,
        {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"},
    )


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (-6, r"Signature expired: \S+ is now earlier than \S+ \(\S+ - 5 min\.\)"),
        (6, r"Signature not yet current: \S+ is still later than \S+ \(\S+ \+ 5 min\.\)"),
    ],
)
def test_vector_32_a_clock_that_is_wrong(minutes: int, text: str, send_as: Callable[..., Any]) -> None:
    answer = send_as(time=lambda: datetime.now(UTC) + timedelta(minutes=minutes)).post({})
    assert answer.status == 400
    assert answer.json["__type"] == "InvalidSignatureException"
    assert re.fullmatch(text, answer.json["message"])
    assert "date" in answer.headers


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"secret": "wrong"}, MISMATCH["message"]),
        ({"service": "s3"}, "Credential should be scoped to correct service: 'rekognition'."),
        ({"region": ""}, "Credential should be scoped to a valid region, not ''."),
        (
            {"day": "20200101"},
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200101' != ",
        ),
    ],
    ids=["secret", "service", "region", "day"],
)
def test_vector_33_a_wrong_scope(options: dict[str, str], text: str, send_as: Callable[..., Any]) -> None:
    answer = send_as(**options).post({})
    assert answer.status == 400
    assert answer.json["__type"] == "InvalidSignatureException"
    assert answer.json["message"].startswith(text)


@pytest.mark.parametrize("options", [{"key_id": "AKIDNOBODY"}, {"key": "revoked"}])
def test_vector_34_an_unknown_key(options: dict[str, str], send_as: Callable[..., Any]) -> None:
    assert send_as(**options).post({}).error == (
        400,
        {"__type": "UnrecognizedClientException", "message": "The security token included in the request is invalid."},
    )


def test_vector_34_a_session_and_an_expired_one(send_as: Callable[..., Any], request_with: Make) -> None:
    assert send_as(key="session").post(request_with()).status == 200
    expired = send_as(key="expired")
    ends = expired.server.keys["expired"].expires
    while datetime.now(UTC) <= ends:
        pass
    assert expired.post(request_with()).error == (
        400,
        {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"},
    )


def test_vector_35_a_tampered_body(send_as: Callable[..., Any], request_with: Make) -> None:
    data = json.dumps(request_with()).encode()
    declared = {"X-Amz-Content-Sha256": hashlib.sha256(data).hexdigest()}
    client = send_as(signed=declared)
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    signed = client.sign(data, headers) | headers
    assert client.send("POST", data, signed).status == 200
    assert client.send("POST", data.replace(b": {", b" :{", 1), signed).error == (400, MISMATCH)


def test_vector_36_java_signs_user_agent(send_as: Callable[..., Any], request_with: Make) -> None:
    data = json.dumps(request_with()).encode()
    java = {
        "User-Agent": "aws-sdk-java/1.11.297 Linux/4.9  OpenJDK_64-Bit",
        "amz-sdk-invocation-id": "5b8e1a2c-0000-4000-8000-000000000000",
        "amz-sdk-retry": "0/0/500",
        "Content-Length": str(len(data)),
        "Connection": "keep-alive",
    }
    assert send_as(signed=java).post(data).status == 200


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("no-action", "because no identity-based policy allows the rekognition:CompareFaces action"),
        ("denied", "with an explicit deny in an identity-based policy"),
    ],
)
def test_vector_37_policies(key: str, why: str, send_as: Callable[..., Any], request_with: Make) -> None:
    user = f"User: arn:aws:iam::111122223333:user/{key}"
    text = f"{user} is not authorized to perform: rekognition:CompareFaces {why}"
    assert send_as(key=key).post(request_with()).error == (400, {"__type": "AccessDeniedException", "Message": text})


def test_vector_38_more_than_the_rate(
    boto3_client: Callable[..., Any], photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", slept.append)
    client = boto3_client("slow", max_attempts=5)
    images = {"SourceImage": {"Bytes": photos.person}, "TargetImage": {"Bytes": photos.person}}
    client.compare_faces(**images)
    with pytest.raises(client.exceptions.ProvisionedThroughputExceededException) as raised:
        client.compare_faces(**images)
    answer = raised.value.response
    assert answer["Error"]["Message"] == "Provisioned rate exceeded"
    assert answer["ResponseMetadata"]["RetryAttempts"] == 4
    assert len(slept) == 4


def test_vector_39_unknown_members(wire: Any, request_with: Make) -> None:
    body = request_with(Unknown={"deep": [1, {"er": None}]})
    body["SourceImage"]["Unknown"] = "x"
    assert wire.post(body).status == 200
    assert wire.post(request_with(target=stored("person.jpg", Unknown="x"))).status == 200


def test_no_photo_and_no_similarity_in_any_log(wire: Any, request_with: Make, photos: Any, server: Any) -> None:
    answer = wire.post(request_with(target=photos.person_again))
    similarity = answer.json["FaceMatches"][0]["Similarity"]
    lines = [json.loads(line) for line in (server.folder / "audit.jsonl").read_text().splitlines()]
    events = [event for event in lines if event["requestID"] == answer.headers["x-amzn-requestid"]]
    assert len(events) == 1
    assert events[0]["userIdentity"]["userName"] == "full"
    for name in ("audit.jsonl", "access.jsonl", "stderr.txt"):
        text = (server.folder / name).read_text()
        assert str(similarity) not in text
        assert b64encode(photos.person[:300]).decode()[:100] not in text
