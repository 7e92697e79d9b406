"""Audit records in CloudTrail's shape (specification section 7.3); no image, embedding, landmark or similarity."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from likeness.aws.errors import WireError
from likeness.aws.quoting import brief
from likeness.aws.shapes import CompareFacesRequest, ImageReference, S3ObjectReference
from likeness.aws.signature import Identity
from likeness.aws.timestamps import utc_text
from likeness.errors import RequestError

#: CloudTrail's value for an unsigned request.
_ANONYMOUS = {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request. `identity` None: unsigned, or with an invalid signature."""

    source_ip: str | None
    user_agent: str | None
    identity: Identity | None


def audit_record(
    *,
    request_id: str,
    time: datetime,
    region: str,
    caller: Caller,
    request: CompareFacesRequest | None,
    error: RequestError | WireError | None,
) -> dict[str, Any]:
    """One event, ready for JSON. `time` is timezone-aware.

    `request` None: refused before it was parsed. `region` is the configured one, used without a credential scope.
    """
    identity = caller.identity
    return {
        "eventVersion": "1.08",
        "userIdentity": dict(_ANONYMOUS) if identity is None else _user_identity(identity),
        "eventTime": utc_text(time),
        "eventSource": "rekognition.amazonaws.com",
        "eventName": "CompareFaces",
        "awsRegion": region if identity is None else brief(identity.region),
        "sourceIPAddress": caller.source_ip or "local",
        "userAgent": caller.user_agent,
        **_error(error),
        "requestParameters": None if request is None else _parameters(request),
        "responseElements": None,
        "requestID": request_id,
        "eventID": str(uuid.uuid4()),
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": None if identity is None else identity.key.account_id,
        "eventCategory": "Management",
    }


def _user_identity(identity: Identity) -> dict[str, Any]:
    key = identity.key
    user = {
        "type": "IAMUser",
        "principalId": key.principal_id,
        "arn": key.arn,
        "accountId": key.account_id,
        "accessKeyId": key.id,
        "userName": key.user_name,
    }
    if key.session_token is None:
        return user
    attributes = {"mfaAuthenticated": "false"} | ({"creationDate": utc_text(key.created)} if key.created else {})
    return user | {"sessionContext": {"attributes": attributes}}


def _parameters(request: CompareFacesRequest) -> dict[str, Any]:
    return {
        "sourceImage": _image(request.source),
        "targetImage": _image(request.target),
        "similarityThreshold": request.similarity_threshold,
        "qualityFilter": request.quality_filter,
    }


def _image(reference: ImageReference) -> dict[str, Any]:
    return {"s3Object": reference.to_dict()} if isinstance(reference, S3ObjectReference) else {}


def _error(error: RequestError | WireError | None) -> dict[str, Any]:
    if error is None:
        return {}
    text = error.service_message if isinstance(error, RequestError) else str(error)
    return {"errorCode": error.code, "errorMessage": text}
