"""Request bodies: JSON, types, and the errors for both (sections 2.4 and 4.2)."""

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.aws import document
from likeness.aws.document import parse_body, read_members
from likeness.aws.errors import SerializationError

IMAGE = '{"Bytes":"AAAA"}'


def body(source: str = IMAGE, target: str = IMAGE, rest: str = "") -> bytes:
    return f'{{"SourceImage":{source},"TargetImage":{target}{rest}}}'.encode()


def refusal(data: bytes) -> str | None:
    with pytest.raises(SerializationError) as raised:
        read_members(parse_body(data))
    return raised.value.text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"true",
        b"5",
        b'"text"',
        b"[1,}",
        b"[[[[",
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"{} {}",
        b"{,}",
        b'{"SourceImage":NaN}',
        b'{"other":Infinity}',
        b'{"other":01}',
        b'{"other":"\x01"}',
        b'{"other":"\xff"}',
        b'{"other":"\xed\xa0\x80"}',
        b'{"QualityFilter":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
    ],
    ids=lambda data: repr(data[:20]),
)
def test_row_7_what_is_not_a_json_object_is_refused_without_a_text(data: bytes) -> None:
    with pytest.raises(SerializationError) as raised:
        parse_body(data)
    assert raised.value.text is None


@pytest.mark.parametrize("data", [b"[]", b" [1, {}] ", b'[{"SourceImage": 1}]'])
def test_row_8_a_list_is_refused_with_a_text(data: bytes) -> None:
    assert refusal(data) == "Start of list found where not expected"


TYPE_ERRORS = [
    ("source", '"text"', "Expected null"),
    ("source", "5", "Expected null"),
    ("source", "true", "Expected null"),
    ("source", "[]", "Start of list found where not expected"),
    ("bytes", "5", "NUMBER_VALUE can not be converted to a Blob"),
    ("bytes", "true", "TRUE_VALUE can not be converted to a Blob"),
    ("bytes", "[]", "Start of list found where not expected"),
    ("bytes", "{}", "Start of structure or map found where not expected."),
    ("s3", '"text"', "Expected null"),
    ("s3", "-1.5", "Expected null"),
    ("s3", "[{}]", "Start of list found where not expected"),
    ("bucket", "5", "NUMBER_VALUE can not be converted to a String"),
    ("bucket", "true", "TRUE_VALUE can not be converted to a String"),
    ("bucket", "false", "FALSE_VALUE can not be converted to a String"),
    ("bucket", "[]", "Start of list found where not expected"),
    ("bucket", "{}", "Start of structure or map found where not expected."),
    ("threshold", '"80"', "STRING_VALUE can not be converted to a Float"),
    ("threshold", '""', "STRING_VALUE can not be converted to a Float"),
    ("threshold", '"nan"', "STRING_VALUE can not be converted to a Float"),
    ("threshold", "true", "TRUE_VALUE can not be converted to a Float"),
    ("threshold", "false", "FALSE_VALUE can not be converted to a Float"),
    ("threshold", "[80]", "Start of list found where not expected"),
    ("threshold", "{}", "Start of structure or map found where not expected."),
    ("filter", "5", "NUMBER_VALUE can not be converted to a String"),
    ("filter", "[]", "Start of list found where not expected"),
    ("filter", "{}", "Start of structure or map found where not expected."),
]


@pytest.mark.parametrize(("where", "value", "text"), TYPE_ERRORS)
def test_4_2_type_errors(where: str, value: str, text: str) -> None:
    data = {
        "source": lambda: body(source=value),
        "bytes": lambda: body(source=f'{{"Bytes":{value}}}'),
        "s3": lambda: body(target=f'{{"S3Object": {value} }}'),
        "bucket": lambda: body(target=f'{{"S3Object":{{"Bucket":{value}}}}}'),
        "threshold": lambda: body(rest=f',"SimilarityThreshold":{value}'),
        "filter": lambda: body(rest=f',"QualityFilter":{value}'),
    }[where]()
    assert refusal(data) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("abcde", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ("=", "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        ("QUI=\\n", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ("====", "Invalid Base64 character: '='"),
        ("QQ==QQ==", "Invalid Base64 character: '='"),
        ("QU=B", "Invalid Base64 character: '='"),
        ("QQ-_", "Invalid Base64 character: '-'"),
        ("QUFB\\nUFB", "Invalid Base64 character: '\n'"),
        ("data:image/jpeg;base64,QUFB12", "Base64 encoded length is expected a multiple of 4 bytes but found: 29"),
        ("data:image/jpeg;base64,QUFBQ", "Invalid Base64 character: ':'"),
        ("QR==", "Invalid last non-pad Base64 character dectected"),
        ("QUJ=", "Invalid last non-pad Base64 character dectected"),
        ("QUJ\\u003d", "Invalid last non-pad Base64 character dectected"),
    ],
)
def test_4_2_blobs(value: str, reason: str) -> None:
    shown = json.loads(f'"{value}"')
    assert refusal(body(source=f'{{"Bytes":"{value}"}}')) == f"'{shown}' can not be converted to a Blob: {reason}"


def test_a_long_value_is_echoed_in_part_and_not_logged() -> None:
    with pytest.raises(SerializationError) as raised:
        read_members(parse_body(body(source=f'{{"Bytes":"{"A" * 1_000_001}"}}')))
    assert raised.value.text is not None
    assert raised.value.text.startswith(f"'{'A' * 128}...' can not be converted")
    assert len(raised.value.text) < 300
    assert "AAA" not in str(raised.value)


def test_the_first_type_error_in_the_models_order_wins() -> None:
    data = b'{"QualityFilter":1,"SimilarityThreshold":"80","TargetImage":[],"SourceImage":2}'
    assert refusal(data) == "Expected null"


def test_null_is_the_same_as_absent() -> None:
    members = read_members(
        parse_body(
            b'{"SourceImage":{"Bytes":null,"S3Object":{"Bucket":null,"Name":"n","Version":null}},'
            b'"TargetImage":null,"SimilarityThreshold":null,"QualityFilter":null}'
        )
    )
    assert members.target is members.similarity_threshold is members.quality_filter is None
    assert members.source is not None
    assert members.source.data is None
    assert members.source.s3_object is not None
    assert (members.source.s3_object.bucket, members.source.s3_object.name) == (None, "n")


def test_unknown_members_are_ignored_at_every_level_and_the_last_of_repeated_keys_wins() -> None:
    members = read_members(
        parse_body(
            b'{"x":[{"y":[]}],"SourceImage":5,"TargetImage":{"Bytes":7,"z":{},"Bytes":"AAAA"},'
            b'"SourceImage":{"q":1,"S3Object":{"Region":"x","Bucket":"b","Bucket":"ccc"}},"SimilarityThreshold":"80",'
            b'"SimilarityThreshold":80}'
        )
    )
    assert members.target is not None
    assert members.target.data == b"\0\0\0"
    assert members.source is not None
    assert members.source.s3_object is not None
    assert members.source.s3_object.bucket == "ccc"
    assert members.similarity_threshold == 80


@pytest.mark.parametrize(
    ("token", "value"),
    [("80", 80.0), ("8e1", 80.0), ("-0", 0.0), ("1e400", float("inf")), ('"-Infinity"', float("-inf"))],
)
def test_numbers(token: str, value: float) -> None:
    assert read_members(parse_body(body(rest=f',"SimilarityThreshold": {token}\n'))).similarity_threshold == value


def test_nan_as_a_text_is_a_number() -> None:
    threshold = read_members(parse_body(body(rest=',"SimilarityThreshold":"NaN"'))).similarity_threshold
    assert threshold is not None
    assert threshold != threshold


def test_a_body_of_nothing_but_unknown_members_takes_no_memory() -> None:
    import tracemalloc

    data = b"[" + b"{}," * 2_000_000 + b"{}]"
    objects = b'{"x":' + data + b"}"
    tracemalloc.start()
    try:
        assert refusal(data) == "Start of list found where not expected"
        parse_body(objects)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


text_of_any_kind = st.text(alphabet="ABQRgw0-_=+/ \\\n", max_size=12) | st.text(max_size=8)


@given(text_of_any_kind, st.booleans())
def test_the_quick_reading_of_a_blob_agrees_with_the_exact_one(text: str, escape: bool) -> None:
    encoded = json.dumps(text, ensure_ascii=True)
    if escape:
        encoded = '"' + "".join(f"\\u{ord(c):04x}" for c in text if ord(c) < 0x10000) + '"'
    raw = parse_body(f'{{"SimilarityThreshold":{encoded}}}'.encode()).members.SimilarityThreshold
    outcomes = []
    for read in (document._read_blob, document._read_blob_exactly):
        try:
            outcomes.append(read(raw))
        except SerializationError as error:
            outcomes.append(error.text)
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=200))
def test_every_blob_comes_back(data: bytes) -> None:
    members = read_members(parse_body(body(source=f'{{"Bytes":"{b64encode(data).decode()}"}}')))
    assert members.source is not None
    assert members.source.data == data


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("QUJD"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["SourceImage", "TargetImage", "Bytes", "S3Object", "Bucket", "SimilarityThreshold", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(any_json, st.booleans())
def test_typed_and_loose_parsing_agree_and_nothing_else_is_raised(value: Any, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    outcomes = []
    for parse in (parse_body, parse_loosely):
        try:
            outcomes.append(read_members(parse(data)))
        except SerializationError as error:
            outcomes.append(error.text)
    # NaN is not equal to itself, so the printed forms are compared.
    assert repr(outcomes[0]) == repr(outcomes[1])


def parse_loosely(data: bytes) -> document.Document:
    try:
        return document.Document(document._loose_request.decode(data))
    except (ValueError, msgspec.DecodeError) as error:
        is_list = isinstance(_or_none(data), list)
        raise SerializationError("Start of list found where not expected" if is_list else None) from error


def _or_none(data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=lambda name: float(name + name))
    except ValueError:
        return None


@given(st.binary(max_size=60))
def test_no_body_breaks_the_parser(data: bytes) -> None:
    try:
        read_members(parse_body(data))
    except SerializationError:
        return
    assert data.strip(b" \t\r\n").startswith(b"{")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\xff\xd8\xff\xe0", "a JPEG"),
        (b"<html>", "XML or HTML"),
        (b"{", "not JSON in UTF-8: Input data was truncated"),
        (b'{"a": "\xe4"}', "not JSON in UTF-8: invalid"),
        (b"3", "a single value"),
    ],
)
def test_the_log_says_what_the_service_does_not(body: bytes, reason: str) -> None:
    with pytest.raises(SerializationError) as caught:
        parse_body(body)
    assert caught.value.text is None
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:image/jpeg;base64,/9j/4AAQ", "(it is a data URL: send the part after the comma)"),
        ("_9j_4AAQ-A==", "(it is base64 with the alphabet for URLs)"),
        ("/9j/4AAQ\n4AAQ", "(there are line breaks or spaces in it)"),
        ("aGVsbG8", "(it is base64 with no padding)"),
        ("%%%%", "Invalid Base64 character: '%'"),
    ],
)
def test_the_log_says_what_a_text_that_is_no_base64_seems_to_be(text: str, message: str) -> None:
    body = json.dumps({"SourceImage": {"Bytes": text}}).encode()
    with pytest.raises(SerializationError) as refused:
        read_members(parse_body(body))
    assert str(refused.value).startswith("Bytes can not be converted to a Blob: ")
    assert str(refused.value).endswith(message)
    assert message not in (refused.value.text or "") or message.startswith("Invalid")
