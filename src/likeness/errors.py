"""Everything that can go wrong, in one tree.

    LikenessError
    ├── RequestError                    what the service answers with an error; has .code and .service_message
    │   ├── InvalidParameter            InvalidParameterException: the request or a photo cannot be used
    │   │   ├── NoFaceFound             a photo in which no face was found
    │   │   └── ImageTooSmall           a photo with a side under the smallest allowed
    │   ├── InvalidImageFormat          InvalidImageFormatException: neither JPEG nor PNG, or broken beyond use
    │   ├── ImageTooLarge               ImageTooLargeException: too many bytes or pixels
    │   ├── InvalidS3Object             InvalidS3ObjectException: the object cannot be had
    │   ├── AccessDenied                AccessDeniedException: the caller's policy does not allow it
    │   ├── Throttled                   ThrottlingException: too busy to answer in time
    │   ├── RateExceeded                ProvisionedThroughputExceededException: more requests than the key may send
    │   └── InternalFailure             InternalServerError: our fault
    ├── PackError                       a model pack cannot be used
    │   ├── PackNotInstalled            it is missing and may not be fetched (offline)
    │   ├── PackDownloadFailed          the index does not answer, or does not have the file
    │   ├── PackDamaged                 a file's hash or content is not what the manifest says
    │   └── PackInvalid                 a manifest that cannot be read or makes no sense
    ├── SettingsError                   a setting that is unknown or impossible
    └── ComparerUnusable                a Comparer after `close`, or in a child forked amid a comparison

`str(error)` is for people: what was wrong, with which photo or file, and what to do about it. `service_message` is
what the service says on the wire, word for word (specification sections 4.4, 4.5 and 7.1), and never holds the reason.
"""

from typing import ClassVar


class LikenessError(Exception):
    """Base of every error that Likeness raises on purpose."""


class RequestError(LikenessError):
    """A request that the service would answer with an error.

    `code` is the service's error code, `service_message` its text on the wire, `http_status` its status.
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
    """No face was found in a photo, or none that passes the quality filter in the source photo."""


class ImageTooSmall(InvalidParameter):
    """A side of the photo is shorter than the smallest allowed (80 px by default)."""


class InvalidImageFormat(RequestError):
    """The bytes are neither a JPEG nor a PNG, or are broken so that nothing can be decoded."""

    code = "InvalidImageFormatException"
    service_message = "Request has invalid image format"


class ImageTooLarge(RequestError):
    """The photo has more bytes or pixels than allowed; found before any pixel is decoded."""

    code = "ImageTooLargeException"
    service_message = "Image size is too large"


class InvalidS3Object(RequestError):
    """The object of an S3Object reference cannot be had, for whatever reason."""

    code = "InvalidS3ObjectException"
    service_message = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


class AccessDenied(RequestError):
    """The caller is known but not allowed to do this."""

    code = "AccessDeniedException"
    service_message = "User is not authorized to perform: rekognition:CompareFaces"


class Throttled(RequestError):
    """The request cannot start before its deadline."""

    code = "ThrottlingException"
    service_message = "Slow down; sudden increase in rate of requests."


class RateExceeded(RequestError):
    """The key has used up its rate of requests."""

    code = "ProvisionedThroughputExceededException"
    service_message = "Provisioned rate exceeded"


class InternalFailure(RequestError):
    """Something broke that should not; the log has the cause."""

    code = "InternalServerError"
    service_message = "Internal server error"
    http_status = 500


class PackError(LikenessError):
    """A model pack cannot be used; the message names the file and the remedy."""


class PackNotInstalled(PackError):
    """The pack is not in the cache and may not, or must not now, be fetched."""


class PackDownloadFailed(PackError):
    """A file of the pack could not be fetched."""


class PackDamaged(PackError):
    """A file of the pack is not what the manifest says it is."""


class PackInvalid(PackError):
    """The manifest of the pack cannot be read or contradicts itself."""


class SettingsError(LikenessError):
    """A setting is unknown, of the wrong type, or impossible together with another."""


class ComparerUnusable(LikenessError, RuntimeError):
    """A Comparer is used after `close`, or in a child that was forked while it was at work."""
