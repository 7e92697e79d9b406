"""Audit records: the shape of CloudTrail (section 7.3), and nothing of a photo."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from likeness.aws.audit import Caller, audit_record
from likeness.aws.errors import NotAuthorized, SerializationError
from likeness.aws.keys import Key
from likeness.aws.protocol import parse_body, validate
from likeness.aws.shapes import CompareFacesRequest, S3ObjectReference
from likeness.aws.signature import Identity
from likeness.errors import NoFaceFound

ID = "7f3c2f1e-5f0a-4c0e-9a51-0d2b6d0f9a11"
MADE = datetime(2026, 6, 1, 8, tzinfo=UTC)
KEY = Key("AKIDEXAMPLE", "very-secret", "kiosk", "111122223333", (), created=MADE)
REQUEST = CompareFacesRequest(b"photo-bytes", S3ObjectReference("bucket", "a.jpg", "v1"), 90.0, "AUTO")


def record(**changes: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "request_id": ID,
        "time": datetime(2026, 6, 15, 14, 30, tzinfo=timezone(timedelta(hours=2))),
        "region": "local",
        "caller": Caller("10.1.2.3", "Boto3/1.40", Identity(KEY, "eu-central-1")),
        "request": REQUEST,
        "error": None,
    }
    return audit_record(**defaults | changes)


def test_the_frame() -> None:
    event = record()
    assert uuid.UUID(event.pop("eventID")).version == 4
    assert event == {
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": KEY.principal_id,
            "arn": "arn:aws:iam::111122223333:user/kiosk",
            "accountId": "111122223333",
            "accessKeyId": "AKIDEXAMPLE",
            "userName": "kiosk",
        },
        "eventTime": "2026-06-15T12:30:00Z",
        "eventSource": "rekognition.amazonaws.com",
        "eventName": "CompareFaces",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "10.1.2.3",
        "userAgent": "Boto3/1.40",
        "requestParameters": {
            "sourceImage": {},
            "targetImage": {"s3Object": {"bucket": "bucket", "name": "a.jpg", "version": "v1"}},
            "similarityThreshold": 90.0,
            "qualityFilter": "AUTO",
        },
        "responseElements": None,
        "requestID": ID,
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    }


def test_an_error_is_written_as_the_caller_reads_it() -> None:
    event = record(error=NoFaceFound("SourceImage: no face found (largest candidate 22 px)"))
    assert event["errorCode"] == "InvalidParameterException"
    assert event["errorMessage"] == "Request has invalid parameters"
    denied = record(error=NotAuthorized("User: x is not authorized"), request=None)
    assert (denied["errorCode"], denied["errorMessage"]) == ("AccessDeniedException", "User: x is not authorized")
    assert denied["requestParameters"] is None


def test_temporary_credentials_show_when_they_were_made() -> None:
    key = replace(KEY, id="ASIAEXAMPLE", session_token="very-secret-token")
    event = record(caller=Caller("10.1.2.3", "Boto3/1.40", Identity(key, "eu-central-1")))
    assert event["userIdentity"]["accessKeyId"] == "ASIAEXAMPLE"
    assert event["userIdentity"]["sessionContext"]["attributes"]["creationDate"] == "2026-06-01T08:00:00Z"
    assert "very-secret" not in json.dumps(event)


def test_an_unsigned_request_has_an_anonymous_caller() -> None:
    event = record(caller=Caller(None, None, None))
    assert event["userIdentity"] == {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    assert (event["awsRegion"], event["recipientAccountId"], event["sourceIPAddress"]) == ("local", None, "local")


def test_a_region_is_what_a_caller_chose() -> None:
    event = record(caller=Caller("10.1.2.3", None, Identity(KEY, "a" * 33)))
    assert event["awsRegion"].startswith("a" * 16 + "..." + "a" * 16 + " (33 characters, sha256 ")


def test_no_photo_and_no_secret_in_any_record() -> None:
    with pytest.raises(SerializationError) as raised:
        validate(parse_body(b'{"SourceImage":{"Bytes":"cGhvdG8tYnl0ZXM"}}'))
    for event in (record(), record(error=raised.value, request=None)):
        text = json.dumps(event)
        assert "photo-bytes" not in text
        assert "cGhvdG8" not in text
        assert "very-secret" not in text
