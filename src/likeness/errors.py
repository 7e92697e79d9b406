"""The exceptions of Likeness.

    LikenessError
    ├── RequestError                    a request that the service refuses; has .code and .service_message
    │   ├── InvalidParameter            InvalidParameterException: the request or a photo cannot be used
    │   │   ├── NoFaceFound             a photo without a usable face
    │   │   └── ImageTooSmall           a photo with a side below the minimum
    │   ├── InvalidImageFormat          InvalidImageFormatException: neither JPEG nor PNG, or broken beyond use
    │   ├── ImageTooLarge               ImageTooLargeException: too many bytes or pixels, or too much work to decode
    │   ├── InvalidS3Object             InvalidS3ObjectException: the object cannot be read
    │   ├── AccessDenied                AccessDeniedException: the caller's policy does not allow it
    │   ├── Throttled                   ThrottlingException: too busy to answer in time
    │   ├── RateExceeded                ProvisionedThroughputExceededException: more requests than the key may send
    │   └── InternalFailure             InternalServerError: a bug
    ├── PackError                       a model pack cannot be used
    │   ├── PackNotInstalled            it is missing and may not be fetched (offline)
    │   ├── PackDownloadFailed          the index does not answer, or lacks the file
    │   ├── LicenceNotAccepted          its licence restricts its use, and that has not been accepted
    │   ├── PackDamaged                 a file's hash or content does not match the manifest
    │   └── PackInvalid                 a manifest that cannot be read or contradicts itself
    ├── SettingsError                   a setting that is unknown or impossible
    └── ComparerUnusable                a Comparer after `close`, or in a child forked during a comparison

`str(error)` is for people: what was wrong, with which photo or file, and what to do. `service_message` is the service's
text on the wire, word for word (specification sections 4.4, 4.5 and 7.1), and never contains the reason.
"""

from typing import ClassVar, Literal

#: The kinds of reason why an object cannot be read, for the server's metrics; docs/operations.md describes them.
S3Cause = Literal[
    "not_found", "access_denied", "refused", "configuration", "unavailable", "timeout", "invalid_answer", "throttled"
]


class LikenessError(Exception):
    """Base of every error that Likeness raises on purpose."""


class RequestError(LikenessError):
    """A request that the service refuses.

    `code` is the service's error code, `service_message` its text on the wire, `http_status` the HTTP status.
    """

    code: ClassVar[str] = "InternalServerError"
    service_message: ClassVar[str] = "Internal server error"
    http_status: ClassVar[int] = 400

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or self.service_message)


class InvalidParameter(RequestError):
    """The request, or a photo in it, cannot be used."""

    code = "InvalidParameterException"
    service_message = "Request has invalid parameters"


class NoFaceFound(InvalidParameter):
    """No face was found in a photo, or none in the source photo passes the quality filter."""


class ImageTooSmall(InvalidParameter):
    """A side of the photo is shorter than the minimum (80 px by default)."""


class InvalidImageFormat(RequestError):
    """The bytes are neither a JPEG nor a PNG, or nothing can be decoded from them."""

    code = "InvalidImageFormatException"
    service_message = "Request has invalid image format"


class ImageTooLarge(RequestError):
    """The photo exceeds a limit on bytes, pixels or the work to decode it; checked before any pixel is decoded."""

    code = "ImageTooLargeException"
    service_message = "Image size is too large"


class InvalidS3Object(RequestError):
    """The object of an S3Object reference cannot be read, for any reason. `cause` is the kind of reason."""

    code = "InvalidS3ObjectException"
    service_message = "Unable to get object metadata from S3. Check object key, region and/or access permissions."

    def __init__(self, reason: str = "", cause: S3Cause = "refused") -> None:
        super().__init__(reason)
        self.cause = cause


class AccessDenied(RequestError):
    """The caller is authenticated but not authorised."""

    code = "AccessDeniedException"
    service_message = "User is not authorized to perform: rekognition:CompareFaces"


class Throttled(RequestError):
    """The request cannot start before its deadline."""

    code = "ThrottlingException"
    service_message = "Slow down; sudden increase in rate of requests."


class RateExceeded(RequestError):
    """The key has exceeded its rate of requests."""

    code = "ProvisionedThroughputExceededException"
    service_message = "Provisioned rate exceeded"


class InternalFailure(RequestError):
    """A bug; the log has the cause."""

    code = "InternalServerError"
    service_message = "Internal server error"
    http_status = 500


class PackError(LikenessError):
    """A model pack cannot be used; the message names the file and the remedy."""


class PackNotInstalled(PackError):
    """The pack is not in the cache and may not be fetched."""


class PackDownloadFailed(PackError):
    """A file of the pack could not be fetched."""


class LicenceNotAccepted(PackError):
    """The licence of the pack restricts its use, and the restriction has not been accepted."""


class PackDamaged(PackError):
    """A file of the pack does not match the manifest."""


class PackInvalid(PackError):
    """The manifest of the pack cannot be read or contradicts itself."""


class SettingsError(LikenessError):
    """A setting is unknown, of the wrong type, or incompatible with another."""


class ComparerUnusable(LikenessError, RuntimeError):
    """A Comparer is used after `close`, or in a child that was forked during a comparison."""
