"""The interface and settings of an object store, and the error of one that throttles."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

from msgspec import Meta

from likeness.errors import RateExceeded, S3Cause

Seconds = Annotated[float, Meta(gt=0)]


class S3RateExceeded(RateExceeded):
    """The store throttles this server (specification section 4.4)."""

    service_message = "S3 download limit exceeded."
    cause: ClassVar[S3Cause] = "throttled"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The settings for the buckets of one pattern. Credentials are the server's own, never the caller's."""

    pattern: str = field(default="*", metadata={"help": "buckets this is for; * and ? stand for anything"})
    directory: Path | None = field(default=None, metadata={"help": "a folder whose files are the bucket's objects"})
    endpoint_url: str | None = field(
        default=None,
        metadata={"help": "an S3 other than AWS, such as http://minio:9000; AWS_ENDPOINT_URL_S3 is used too"},
    )
    region: str | None = field(
        default=None, metadata={"help": "region of the buckets; else AWS_REGION, else us-east-1"}
    )
    addressing: Literal["auto", "path", "virtual"] = field(
        default="auto", metadata={"help": "bucket in the path or in the host name; auto: path for other endpoints"}
    )
    profile: str | None = field(default=None, metadata={"help": "profile of ~/.aws whose credentials or role are used"})
    access_key_id: str | None = field(
        default=None, metadata={"help": "fixed credentials; else environment, profile, role"}
    )
    secret_access_key: str | None = field(default=None, repr=False, metadata={"help": "its secret", "secret": True})
    session_token: str | None = field(default=None, repr=False, metadata={"help": "its session token", "secret": True})
    anonymous: bool = field(default=False, metadata={"help": "send no credentials: public buckets"})
    ca_bundle: Path | None = field(default=None, metadata={"help": "certificates to trust, as a PEM file"})
    connect_timeout_seconds: Seconds = field(default=2.0, metadata={"help": "per connection"})
    read_timeout_seconds: Seconds = field(default=5.0, metadata={"help": "per read from the socket"})
    attempts: Annotated[int, Meta(ge=1, le=10)] = field(
        default=3, metadata={"help": "tries per object where a failure may pass, all within the request's deadline"}
    )


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing describes it; `state` changes with its content."""

    name: str
    state: str


class Store(Protocol):
    """A source of objects; several threads use it at once."""

    def fetch(self, bucket: str, name: str, version: str | None, *, max_bytes: int, deadline: float) -> bytes:
        """The object's bytes.

        `deadline` is a `time.monotonic()` value. Raises InvalidS3Object (its reason has the cause),
        ImageTooLarge over `max_bytes`, InvalidImageFormat for an object without bytes, S3RateExceeded.
        """
        ...

    def objects(self, bucket: str, prefix: str) -> Iterator[ListedObject]:
        """The objects whose names begin with `prefix`, in any order; at most a page of them is in memory.

        Raises InvalidS3Object (its reason has the cause) and S3RateExceeded, also in the middle of the iteration.
        """
        ...
