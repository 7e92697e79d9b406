"""The description of a photo: its faces and vectors as source and as target, or why it cannot be used."""

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import RequestError
from likeness.faces import Face, OrientationCorrection

#: The placeholder for the photo's name in reasons, as several photos may share a description.
PHOTO = "\x00photo\x00"

#: The roles of a photo, which can be combined.
AS_SOURCE, AS_TARGET = 1, 2


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why a photo cannot be used: the class in `likeness.errors`, the service's error `code`, and the `reason`, with
    PHOTO in place of the photo's name.
    """

    kind: str
    code: str
    reason: str

    @classmethod
    def of(cls, error: RequestError, name: str = PHOTO) -> "Failure":
        """From an error that calls the photo `name`."""
        return cls(type(error).__name__, error.code, str(error).replace(name, PHOTO))

    def reason_for(self, name: str) -> str:
        """The reason with the photo's name."""
        return self.reason.replace(PHOTO, name)


class Faces(msgspec.Struct, frozen=True, tag="faces"):
    """Faces with their vectors as rows of little-endian float32."""

    faces: tuple[Face, ...]
    vectors: bytes
    orientation_correction: OrientationCorrection | None = None

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The vectors (N, D)."""
        flat = np.frombuffer(self.vectors, dtype="<f4")
        return flat.reshape(len(self.faces), -1) if self.faces else flat.reshape(0, 0)


class DescribedPhoto(msgspec.Struct, frozen=True):
    """A photo as a source (one face) and as a target (up to 100); None for a role that is not needed."""

    source: Faces | Failure | None = None
    target: Faces | Failure | None = None

    @property
    def roles(self) -> int:
        """The described roles, AS_SOURCE and AS_TARGET combined."""
        return AS_SOURCE * (self.source is not None) | AS_TARGET * (self.target is not None)

    @property
    def faces(self) -> int:
        """The number of faces in the description."""
        return sum(len(side.faces) for side in (self.source, self.target) if isinstance(side, Faces))

    @property
    def failed(self) -> bool:
        """Whether it cannot be used in one of its roles."""
        return isinstance(self.source, Failure) or isinstance(self.target, Failure)

    def reason_for(self, name: str) -> str:
        """Why it cannot be used, with the photo's name and the error's code; empty if it can."""
        for role, side in (("source", self.source), ("target", self.target)):
            if isinstance(side, Failure):
                return f"{side.reason_for(f'{role} photo ({name})')} ({side.code})"
        return ""


def encode(photo: DescribedPhoto) -> bytes:
    """The bytes of a description for the face store, after their checksum."""
    content = _ENCODER.encode(photo)
    return checksum(content) + content


def decode(payload: bytes) -> DescribedPhoto:
    """The description in the result of `encode`.

    Raises ValueError for bytes that were damaged or written by another version. A changed vector would be a wrong
    similarity, and nothing else would show it.
    """
    content = memoryview(payload)[CHECKSUM_BYTES:]
    if checksum(content) != payload[:CHECKSUM_BYTES]:
        raise ValueError("its checksum is wrong")
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def checksum(content: bytes | memoryview) -> bytes:
    """CHECKSUM_BYTES by which damage shows. Not a CRC, as those of some blocks of equal bytes are equal to them."""
    return hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()


CHECKSUM_BYTES = 8


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DescribedPhoto)
