"""References of photos (a path, an `s3://` URL, or an S3Object) → their bytes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import msgspec

from likeness.batch.described import PHOTO
from likeness.errors import InvalidParameter
from likeness.image import inputs
from likeness.sources.store import Store

#: The prefix of the URL of an object.
S3 = "s3://"
_VERSION = "?versionId="
_SECONDS_TO_FETCH = 60.0


class Reads(Protocol):
    """Turns a reference into bytes; several threads call it at once."""

    def __call__(self, reference: str, /) -> bytes:
        """The encoded photo. Raises RequestError if it cannot be read."""
        ...


def reference_of(value: object) -> str:
    """A photo's reference in the plan: the given path, or an `s3://` URL for an S3Object.

    `value` is a string, or {"S3Object": {"Bucket", "Name", "Version"}} as an object or as JSON. Raises ValueError.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = msgspec.json.decode(value)
        except RecursionError as error:
            raise ValueError("the photo is nested too deeply") from error
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise ValueError(f"{value!r} is not a photo: {error}") from error
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping):
        place = value.get("S3Object", value)
        if isinstance(place, Mapping):
            bucket, name, version = (place.get(key) for key in ("Bucket", "Name", "Version"))
            if all(isinstance(part, str) and part for part in (bucket, name)) and isinstance(version, str | None):
                return f"{S3}{bucket}/{name}" + (f"{_VERSION}{version}" if version else "")
    raise ValueError(f"{value!r} is not a photo: give a path, an s3:// URL or an S3Object with Bucket and Name")


@dataclass(frozen=True, slots=True)
class PhotoReader:
    """Reads paths below `folder`, and objects from `store`, at most `max_bytes` + 1 bytes."""

    folder: Path
    store: Store
    max_bytes: int

    def __call__(self, reference: str, /) -> bytes:
        if not reference.startswith(S3):
            return inputs.contents(self.folder / reference, PHOTO, self.max_bytes)
        place, _, version = reference.removeprefix(S3).partition(_VERSION)
        bucket, _, name = place.partition("/")
        if not bucket or not name:
            raise InvalidParameter(f"{reference} is not an object: an s3:// URL has a bucket and a name.")
        deadline = time.monotonic() + _SECONDS_TO_FETCH
        return self.store.fetch(bucket, name, unquote(version) or None, max_bytes=self.max_bytes, deadline=deadline)
