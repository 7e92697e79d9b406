"""The model's constraints and the rules for images, on members of the right types (specification 4.3, 4.4)."""

import math
import re
from collections.abc import Iterator

from likeness.aws.document import ImageMembers, RequestMembers, S3ObjectMembers, echo
from likeness.aws.errors import InvalidS3Reference, ValidationError
from likeness.aws.quoting import Quoting, brief
from likeness.aws.shapes import DEFAULT_THRESHOLD, CompareFacesRequest, ImageReference, S3ObjectReference
from likeness.errors import InvalidParameter
from likeness.faces import QUALITY_FILTERS, single

_BUCKET_PATTERN = r"[0-9A-Za-z\.\-_]*"
#: Digits that distinguish any two IEEE singles.
_SINGLE_DIGITS = 9


def check(members: RequestMembers, *, max_inline_bytes: int) -> CompareFacesRequest:
    """`members` as a valid request.

    Raises ValidationError with every broken constraint in the model's order; then, source before target,
    InvalidParameter for an image with neither or both of Bytes and S3Object, InvalidS3Reference for an S3Object without
    Bucket or Name.
    """
    threshold = DEFAULT_THRESHOLD if members.similarity_threshold is None else _to_single(members.similarity_threshold)
    quality_filter = members.quality_filter or "NONE"
    broken = list(_broken(members, threshold, max_inline_bytes))
    if broken:
        raise ValidationError(broken)
    return CompareFacesRequest(
        _reference("SourceImage", members.source),
        _reference("TargetImage", members.target),
        threshold,
        next(known for known in QUALITY_FILTERS if known == quality_filter),
    )


def _broken(members: RequestMembers, threshold: float, max_inline_bytes: int) -> Iterator[str]:
    for path, image in (("sourceImage", members.source), ("targetImage", members.target)):
        if image is None:
            yield f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
        else:
            yield from _broken_in_image(path, image, max_inline_bytes)
    # NaN violates both bounds, which only a negated comparison detects.
    if not threshold <= 100:
        yield _sentence(java_float(threshold), "similarityThreshold", "have value less than or equal to 100")
    if not threshold >= 0:
        yield _sentence(java_float(threshold), "similarityThreshold", "have value greater than or equal to 0")
    if members.quality_filter is not None and members.quality_filter not in QUALITY_FILTERS:
        rule = f"satisfy enum value set: [{', '.join(QUALITY_FILTERS)}]"
        yield _sentence(members.quality_filter, "qualityFilter", rule)


def _broken_in_image(path: str, image: ImageMembers, max_inline_bytes: int) -> Iterator[str]:
    if image.data is not None:
        size = len(image.data)
        yield from _broken_length(java_buffer(size), size, f"{path}.bytes", 1, max_inline_bytes)
    if image.s3_object is not None:
        yield from _broken_in_s3_object(f"{path}.s3Object", image.s3_object)


def _broken_in_s3_object(path: str, s3_object: S3ObjectMembers) -> Iterator[str]:
    bucket = s3_object.bucket
    if bucket is not None:
        yield from _broken_length(bucket, len(bucket), f"{path}.bucket", 3, 255)
        if not re.fullmatch(_BUCKET_PATTERN, bucket):
            yield _sentence(bucket, f"{path}.bucket", f"satisfy regular expression pattern: {_BUCKET_PATTERN}")
    for member, value in (("name", s3_object.name), ("version", s3_object.version)):
        if value is not None:
            yield from _broken_length(value, len(value), f"{path}.{member}", 1, 1024)


def _broken_length(value: str, length: int, path: str, least: int, most: int) -> Iterator[str]:
    if length < least:
        yield _sentence(value, path, f"have length greater than or equal to {least}")
    if length > most:
        yield _sentence(value, path, f"have length less than or equal to {most}")


def _sentence(value: str, path: str, rule: str) -> str:
    end = f"at '{path}' failed to satisfy constraint: Member must {rule}"
    return Quoting(f"Value '{echo(value)}' {end}", f"Value '{brief(value)}' {end}")


def _reference(member: str, image: ImageMembers | None) -> ImageReference:
    if image is None or (image.data is None and image.s3_object is None):
        raise InvalidParameter(f"{member}: neither Bytes nor S3Object is given; give one of them")
    if image.s3_object is None:
        return image.data or b""
    if image.data is not None:
        raise InvalidParameter(f"{member}: both Bytes and S3Object are given; give one of them")
    bucket, name = image.s3_object.bucket, image.s3_object.name
    if bucket is None or name is None:
        missing = " and ".join(label for label, value in (("Bucket", bucket), ("Name", name)) if value is None)
        raise InvalidS3Reference(f"{member}: the S3Object has no {missing}")
    return S3ObjectReference(bucket, name, image.s3_object.version)


def _to_single(value: float) -> float:
    """`value` as an IEEE single, as in the service; out-of-range values become infinite."""
    try:
        return single(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def java_buffer(size: int) -> str:
    """How the service prints a blob of `size` octets (captured: specification section 4.3)."""
    return f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"


def java_float(value: float) -> str:
    """An IEEE single as Java's `Float.toString` prints it: 101.0, 1.0E10, NaN, Infinity."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    shortest = next(t for d in range(_SINGLE_DIGITS) if _to_single(float(t := f"{value:.{d}e}")) == value)
    mantissa, exponent = shortest.split("e")
    if 1e-3 <= abs(value) < 1e7:
        return repr(float(shortest))
    return f"{float(mantissa)}E{int(exponent)}"
