"""Constraint errors word for word (section 4.3), and the rules for image references (section 4.4)."""

import json
import math
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.aws.constraints import java_float
from likeness.aws.errors import InvalidS3Reference, ValidationError
from likeness.aws.protocol import parse_body, validate
from likeness.aws.shapes import CompareFacesRequest, S3ObjectReference
from likeness.errors import InvalidParameter, InvalidS3Object
from likeness.faces import single

IMAGE = {"Bytes": "AAAA"}


def check(source: Any = IMAGE, target: Any = IMAGE, limit: int = 5_242_880, **rest: Any) -> CompareFacesRequest:
    members = {"SourceImage": source, "TargetImage": target} | rest
    return validate(parse_body(json.dumps(members).encode()), max_inline_bytes=limit)


def broken(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        check(*args, **kwargs)
    assert raised.value.text is not None
    return raised.value.text


def one(sentence: str) -> str:
    return f"1 validation error detected: {sentence}"


@pytest.mark.parametrize(
    ("threshold", "shown", "rule"),
    [
        (100.1, "100.1", "less than or equal to 100"),
        (101, "101.0", "less than or equal to 100"),
        (1e10, "1.0E10", "less than or equal to 100"),
        (12345678, "1.2345678E7", "less than or equal to 100"),
        ("Infinity", "Infinity", "less than or equal to 100"),
        (1e300, "Infinity", "less than or equal to 100"),
        (-0.1, "-0.1", "greater than or equal to 0"),
        (-1e-5, "-1.0E-5", "greater than or equal to 0"),
        ("-Infinity", "-Infinity", "greater than or equal to 0"),
    ],
)
def test_threshold_out_of_range(threshold: Any, shown: str, rule: str) -> None:
    assert broken(SimilarityThreshold=threshold) == one(
        f"Value '{shown}' at 'similarityThreshold' failed to satisfy constraint: Member must have value {rule}"
    )


def test_nan_keeps_neither_bound() -> None:
    assert broken(SimilarityThreshold="NaN").startswith("2 validation errors detected: Value 'NaN' at")


@pytest.mark.parametrize("threshold", [0, -0.0, 0.0, 100, 100.0000001, 79.99, 1e-50])
def test_threshold_in_range_is_held_as_a_single(threshold: float) -> None:
    assert check(SimilarityThreshold=threshold).similarity_threshold == single(threshold)


@pytest.mark.parametrize("rest", [{}, {"SimilarityThreshold": None, "QualityFilter": None}])
def test_defaults(rest: dict[str, Any]) -> None:
    request = check(**rest)
    assert (request.similarity_threshold, request.quality_filter) == (80.0, "NONE")


@pytest.mark.parametrize("value", ["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"])
def test_every_quality_filter(value: str) -> None:
    assert check(QualityFilter=value).quality_filter == value


@pytest.mark.parametrize("value", ["BEST", "low", "", "NONE "])
def test_unknown_quality_filter(value: str) -> None:
    assert broken(QualityFilter=value) == one(
        f"Value '{value}' at 'qualityFilter' failed to satisfy constraint: "
        "Member must satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]"
    )


@pytest.mark.parametrize(("source", "target", "path"), [(None, IMAGE, "sourceImage"), (IMAGE, None, "targetImage")])
def test_a_missing_image(source: Any, target: Any, path: str) -> None:
    assert broken(source, target) == one(
        f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
    )


def test_both_images_missing() -> None:
    assert broken(None, None) == (
        "2 validation errors detected: "
        "Value null at 'sourceImage' failed to satisfy constraint: Member must not be null; "
        "Value null at 'targetImage' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(("member", "path"), [("SourceImage", "sourceImage"), ("TargetImage", "targetImage")])
def test_the_length_of_bytes(member: str, path: str) -> None:
    def sentence(size: int, rule: str) -> str:
        return one(
            f"Value 'java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]' at '{path}.bytes' "
            f"failed to satisfy constraint: Member must have length {rule}"
        )

    assert broken(**{member: {"Bytes": ""}}) == sentence(0, "greater than or equal to 1")
    assert broken(limit=5, **{member: {"Bytes": "AAAAAAAA"}}) == sentence(6, "less than or equal to 5")
    check(limit=6, **{member: {"Bytes": "AAAAAAAA"}})


def s3(**members: Any) -> dict[str, Any]:
    return {"S3Object": {"Bucket": "bucket", "Name": "name"} | members}


@pytest.mark.parametrize(
    ("member", "value", "rule"),
    [
        ("Bucket", "ab", "have length greater than or equal to 3"),
        ("Bucket", "a" * 256, "have length less than or equal to 255"),
        ("Bucket", "buc ket", r"satisfy regular expression pattern: [0-9A-Za-z\.\-_]*"),
        ("Bucket", "bucket\n", r"satisfy regular expression pattern: [0-9A-Za-z\.\-_]*"),
        ("Bucket", "bückét", r"satisfy regular expression pattern: [0-9A-Za-z\.\-_]*"),
        ("Name", "", "have length greater than or equal to 1"),
        ("Name", "n" * 1025, "have length less than or equal to 1024"),
        ("Version", "", "have length greater than or equal to 1"),
        ("Version", "v" * 1025, "have length less than or equal to 1024"),
    ],
)
def test_the_members_of_an_s3_object(member: str, value: str, rule: str) -> None:
    shown = value if len(value) <= 128 else value[:128] + "..."
    assert broken(target=s3(**{member: value})) == one(
        f"Value '{shown}' at 'targetImage.s3Object.{member.lower()}' failed to satisfy constraint: Member must {rule}"
    )


def test_one_member_may_break_two_rules() -> None:
    text = broken(s3(Bucket="a!"))
    assert text.startswith("2 validation errors detected: Value 'a!' at 'sourceImage.s3Object.bucket'")
    assert text.count("Member must") == 2


def test_all_errors_of_a_request_in_the_models_order() -> None:
    bad = {"Bytes": "", "S3Object": {"Bucket": "!", "Name": "", "Version": ""}}
    text = broken(bad, bad, SimilarityThreshold=200, QualityFilter="x")
    assert text.startswith("12 validation errors detected: ")
    paths = re.findall("at '([^']+)'", text)
    per_image = ["bytes", "s3Object.bucket", "s3Object.bucket", "s3Object.name", "s3Object.version"]
    assert paths == [f"{image}.{path}" for image in ("sourceImage", "targetImage") for path in per_image]


def test_at_most_ten_are_listed() -> None:
    bad = {"Bytes": "", "S3Object": {"Bucket": "!", "Name": "", "Version": ""}}
    assert broken(bad, bad, SimilarityThreshold=200).count("; ") == 9


def test_constraints_come_before_the_rules_for_images() -> None:
    assert broken({}, IMAGE, QualityFilter="x").startswith("1 validation error")


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        ({}, InvalidParameter, "Request has invalid parameters"),
        ({"Bytes": None}, InvalidParameter, "Request has invalid parameters"),
        ({"Bytes": "AAAA"} | s3(), InvalidParameter, "Request has invalid parameters"),
        ({"S3Object": {}}, InvalidS3Reference, "Request has invalid S3 object"),
        ({"S3Object": {"Bucket": "bucket"}}, InvalidS3Object, "Request has invalid S3 object"),
        ({"S3Object": {"Name": "name"}}, InvalidS3Object, "Request has invalid S3 object"),
    ],
)
@pytest.mark.parametrize("member", ["SourceImage", "TargetImage"])
def test_4_4_invalid_images(member: str, image: Any, error: type[InvalidParameter], text: str) -> None:
    with pytest.raises(error) as raised:
        check(**{member: image})
    assert raised.value.service_message == text
    assert str(raised.value).startswith(f"{member}: ")


def test_the_source_is_looked_at_first() -> None:
    with pytest.raises(InvalidParameter, match=r"^SourceImage: "):
        check({}, {"S3Object": {}})


def test_references() -> None:
    request = check(s3(), s3(Name="ordner/ä.jpg", Version="v1"))
    assert request.source == S3ObjectReference("bucket", "name")
    assert request.target == S3ObjectReference("bucket", "ordner/ä.jpg", "v1")
    assert [i.action for i in (request.source, request.target)] == ["s3:GetObject", "s3:GetObjectVersion"]
    assert request.source.arn == "arn:aws:s3:::bucket/name"


def test_photos_are_hidden_from_repr() -> None:
    assert "\\x00" not in repr(check())
    assert "<3 bytes>" in repr(check())


@pytest.mark.parametrize(
    ("value", "shown"),
    # Java's own Float.toString: the digits of JLS 20.9.16 and of the JDK's documentation.
    [
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (9.99e-4, "9.99E-4"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (3.4028234663852886e38, "3.4028235E38"),
        (1.1754943508222875e-38, "1.1754944E-38"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_java_floats(value: float, shown: str) -> None:
    assert java_float(single(value) if math.isfinite(value) else value) == shown


@given(st.floats(width=32, allow_nan=False))
def test_java_floats_read_back_as_the_same_single(value: float) -> None:
    back = float(java_float(value).replace("Infinity", "inf"))
    assert struct.pack("<f", back) == struct.pack("<f", value) or math.isinf(back)
