"""Routing in the front end's order, and the two kinds of answers (sections 2.2 to 2.6)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from likeness import errors
from likeness.aws.errors import (
    BodyTooLarge,
    InvalidS3Reference,
    NotAuthorized,
    SerializationError,
    SignatureError,
    UnknownOperation,
    ValidationError,
    WireError,
)
from likeness.aws.protocol import Cors, WireResponse, failure, join_headers, route, success
from likeness.faces import Comparison

ID = "7f3c2f1e-5f0a-4c0e-9a51-0d2b6d0f9a11"
TYPE = ("Content-Type", "application/x-amz-json-1.1")
TARGET = ("X-Amz-Target", "RekognitionService.CompareFaces")
ORIGIN = ("Origin", "https://app.example")
OPEN = Cors(("*",))
CLOSED = Cors()


def answer(method: str, *headers: tuple[str, str], cors: Cors = CLOSED) -> WireResponse | None:
    return route(method, headers, request_id=ID, cors=cors)


def refused(method: str, *headers: tuple[str, str], cors: Cors = CLOSED) -> WireResponse:
    response = answer(method, *headers, cors=cors)
    assert response is not None
    check_frame(response)
    return response


def check_frame(response: WireResponse) -> None:
    headers = [name.lower() for name, _ in response.headers]
    assert len(headers) == len(set(headers))
    values = join_headers(response.headers)
    assert values["x-amzn-requestid"] == ID
    assert values["content-length"] == str(len(response.body))
    assert abs(datetime.now(UTC) - parsedate_to_datetime(values["date"])) < timedelta(seconds=5)
    assert not {"x-amz-id-2", "x-amzn-errortype", "x-amz-crc32", "server", "retry-after"} & set(headers)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-amz-json-1.1",
        "application/x-amz-json-1.1; charset=utf-8",
        "application/x-amz-json-1.1;charset=UTF-8",
        " Application/X-Amz-Json-1.1 ",
    ],
)
def test_a_request_for_compare_faces_goes_on(content_type: str) -> None:
    assert answer("POST", ("content-type", content_type), TARGET) is None
    assert answer("POST", ("CONTENT-TYPE", content_type), ("x-amz-target", TARGET[1]), ORIGIN, cors=OPEN) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post"])
def test_row_3_any_other_method_is_403_xml(method: str) -> None:
    response = refused(method, TYPE, TARGET)
    assert response.status == 403
    assert response.body == (
        b"<AccessDeniedException><Message>Unable to determine service/operation name to be authorized</Message>"
        b"</AccessDeniedException>"
    )


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/x-amz-json-1.0", "text/plain", "application/json", "application/x-www-form-urlencoded"],
)
def test_rows_4_and_5_another_content_type_is_404_xml(content_type: str | None) -> None:
    headers = [TARGET] if content_type is None else [("Content-Type", content_type), TARGET]
    response = refused("POST", *headers)
    assert (response.status, response.body) == (404, b"<UnknownOperationException/>\n")


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "rekognitionservice.comparefaces",
        "RekognitionService.compareFaces",
        "RekognitionService.DetectFaces",
        "RekognitionService",
        "DynamoDB_20120810.ListTables",
        "RekognitionService.CompareFaces ",
    ],
)
def test_row_6_another_target_is_unknown_without_a_text(target: str | None) -> None:
    response = refused("POST", TYPE, *([] if target is None else [("X-Amz-Target", target)]))
    assert (response.status, response.body) == (400, b'{"__type":"UnknownOperationException"}')
    assert join_headers(response.headers)["content-type"] == "application/x-amz-json-1.1"


def test_a_repeated_target_is_not_the_operation() -> None:
    assert refused("POST", TYPE, TARGET, TARGET).status == 400


def test_the_rows_come_in_their_order() -> None:
    assert refused("GET").status == 403
    assert refused("POST").status == 404


def test_row_2_a_preflight() -> None:
    response = refused(
        "OPTIONS",
        ORIGIN,
        ("Access-Control-Request-Headers", "content-type,x-amz-target"),
        ("Access-Control-Request-Method", "POST"),
        cors=OPEN,
    )
    headers = join_headers(response.headers)
    assert (response.status, response.body) == (200, b"")
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-headers"] == "content-type,x-amz-target"
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-max-age"] == "172800"


def test_a_preflight_where_it_is_not_allowed_is_just_another_method() -> None:
    assert refused("OPTIONS", ORIGIN).status == 403
    assert refused("OPTIONS", cors=OPEN).status == 403
    assert refused("OPTIONS", ORIGIN, cors=Cors(("https://other.example",))).status == 403


def test_cors_on_answers(comparison: Comparison) -> None:
    response = success(comparison, ID)
    opened = join_headers(OPEN.decorate(response, ORIGIN[1]).headers)
    assert opened["access-control-allow-origin"] == "*"
    assert opened["access-control-expose-headers"] == (
        "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date"
    )
    listed = join_headers(Cors((ORIGIN[1],)).decorate(response, ORIGIN[1]).headers)
    assert (listed["access-control-allow-origin"], listed["vary"]) == (ORIGIN[1], "Origin")
    assert Cors((ORIGIN[1],)).decorate(response, "https://other.example") == response
    assert OPEN.decorate(response, None) == response


def test_success_is_compact_json_with_the_digits_of_singles(comparison: Comparison) -> None:
    response = success(comparison, ID)
    check_frame(response)
    assert response.status == 200
    assert join_headers(response.headers)["content-type"] == "application/x-amz-json-1.1"
    text = response.body.decode()
    assert text.startswith(
        '{"SourceImageFace":{"BoundingBox":{"Width":0.12368916720151901,"Height":0.30000001192092896,'
    )
    assert '"Similarity":100.0,' in text
    assert "null" not in text
    assert ": " not in text
    assert ", " not in text
    assert list(json.loads(text)) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert json.dumps(json.loads(text), separators=(",", ":")) == text


MODELLED = [
    (errors.InvalidParameter("x"), 400, "InvalidParameterException", "Request has invalid parameters"),
    (errors.NoFaceFound("x"), 400, "InvalidParameterException", "Request has invalid parameters"),
    (errors.ImageTooSmall("x"), 400, "InvalidParameterException", "Request has invalid parameters"),
    (errors.InvalidImageFormat("x"), 400, "InvalidImageFormatException", "Request has invalid image format"),
    (errors.ImageTooLarge("x"), 400, "ImageTooLargeException", "Image size is too large"),
    (
        errors.InvalidS3Object("x"),
        400,
        "InvalidS3ObjectException",
        "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
    ),
    (InvalidS3Reference("x"), 400, "InvalidS3ObjectException", "Request has invalid S3 object"),
    (errors.Throttled("x"), 400, "ThrottlingException", "Slow down; sudden increase in rate of requests."),
    (errors.RateExceeded("x"), 400, "ProvisionedThroughputExceededException", "Provisioned rate exceeded"),
    (errors.InternalFailure("x"), 500, "InternalServerError", "Internal server error"),
]


@pytest.mark.parametrize(("error", "status", "code", "text"), MODELLED, ids=lambda v: type(v).__name__)
def test_modelled_errors_have_code_and_capital_message(
    error: errors.RequestError, status: int, code: str, text: str
) -> None:
    response = failure(error, ID)
    check_frame(response)
    assert response.status == status
    assert response.body.decode() == f'{{"__type":"{code}","Code":"{code}","Message":"{text}"}}'


def test_verbose_errors_append_the_reason() -> None:
    error = errors.NoFaceFound("SourceImage: no face found (largest candidate 22 px)")
    message = json.loads(failure(error, ID, verbose=True).body)["Message"]
    assert message == "Request has invalid parameters: SourceImage: no face found (largest candidate 22 px)"
    bare = errors.InvalidParameter()
    assert failure(bare, ID, verbose=True).body == failure(bare, ID).body


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (UnknownOperation(), '{"__type":"UnknownOperationException"}'),
        (SerializationError(), '{"__type":"SerializationException"}'),
        (SerializationError("Expected null"), '{"__type":"SerializationException","Message":"Expected null"}'),
        (
            ValidationError(["a", "b"]),
            '{"__type":"ValidationException","message":"2 validation errors detected: a; b"}',
        ),
        (
            SignatureError("InvalidSignatureException", "Signature expired"),
            '{"__type":"InvalidSignatureException","message":"Signature expired"}',
        ),
        (
            errors.AccessDenied(),
            '{"__type":"AccessDeniedException",'
            '"Message":"User is not authorized to perform: rekognition:CompareFaces"}',
        ),
        (NotAuthorized("User: x"), '{"__type":"AccessDeniedException","Message":"User: x"}'),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("verbose", [False, True])
def test_front_end_errors_have_no_code(error: WireError, body: str, verbose: bool) -> None:
    response = failure(error, ID, verbose=verbose)
    check_frame(response)
    assert (response.status, response.body.decode()) == (400, body)


def test_row_1_a_body_too_large_is_413_and_empty() -> None:
    response = failure(BodyTooLarge(), ID)
    check_frame(response)
    assert (response.status, response.body) == (413, b"")


def test_texts_keep_their_letters() -> None:
    response = failure(ValidationError(["Value 'ä€' at 'x'"]), ID)
    check_frame(response)
    assert "ä€" in response.body.decode()


def test_what_is_no_text_becomes_question_marks() -> None:
    octets = b"caf\xe9 \xc3\xa9".decode("utf-8", "surrogateescape")
    response = failure(SignatureError("IncompleteSignatureException", octets), ID)
    assert json.loads(response.body)["message"] == "caf? é"


def test_what_is_no_number_is_never_sent(comparison: Comparison) -> None:
    """Clients' parsers would refuse it, or take it for a match."""
    unknown = replace(comparison.matches[0], similarity=float("nan"))
    with pytest.raises(ValueError, match="JSON compliant"):
        success(replace(comparison, matches=(unknown,)), ID)
