"""A validated request of CompareFaces, which `protocol.validate` returns."""

from dataclasses import dataclass, replace
from typing import Any

from likeness.aws.quoting import brief
from likeness.faces import QualityFilter

#: The operation's name in `X-Amz-Target`, and its action in a policy.
TARGET = "RekognitionService.CompareFaces"
ACTION = "rekognition:CompareFaces"

#: Default of `SimilarityThreshold`, 0 to 100 (specification section 5.1).
DEFAULT_THRESHOLD = 80.0


@dataclass(frozen=True, slots=True)
class S3ObjectReference:
    """A valid `S3Object`; `version` may be None."""

    bucket: str
    name: str
    version: str | None = None

    @property
    def action(self) -> str:
        """The action that the caller's policy must allow: `s3:GetObject`, or `s3:GetObjectVersion` with a version."""
        return "s3:GetObject" if self.version is None else "s3:GetObjectVersion"

    @property
    def arn(self) -> str:
        """The object's resource name in a policy."""
        return f"arn:aws:s3:::{self.bucket}/{self.name}"

    def shortened(self) -> "S3ObjectReference":
        """The same with its names shortened for logs."""
        version = None if self.version is None else brief(self.version)
        return S3ObjectReference(brief(self.bucket), brief(self.name), version)

    def to_dict(self) -> dict[str, Any]:
        """As CloudTrail writes it: lower camel case, and no version if there is none."""
        members = {"bucket": self.bucket, "name": self.name}
        return members if self.version is None else members | {"version": self.version}


#: An image of a request: the decoded bytes, or a reference to them.
ImageReference = bytes | S3ObjectReference


@dataclass(frozen=True, slots=True)
class CompareFacesRequest:
    """A valid request. `similarity_threshold` is an IEEE single, 0 to 100; photos are hidden from `repr`."""

    source: ImageReference
    target: ImageReference
    similarity_threshold: float = DEFAULT_THRESHOLD
    quality_filter: QualityFilter = "NONE"

    @property
    def objects(self) -> list[S3ObjectReference]:
        """The images that are S3 objects."""
        return [each for each in (self.source, self.target) if isinstance(each, S3ObjectReference)]

    def shortened(self) -> "CompareFacesRequest":
        """The same with the names of S3 objects shortened for logs."""
        images = [
            each.shortened() if isinstance(each, S3ObjectReference) else b"" for each in (self.source, self.target)
        ]
        return replace(self, source=images[0], target=images[1])

    def __repr__(self) -> str:
        images = [f"<{len(i)} bytes>" if isinstance(i, bytes) else repr(i) for i in (self.source, self.target)]
        return f"CompareFacesRequest({', '.join(images)}, {self.similarity_threshold}, {self.quality_filter!r})"
