"""A photo as the batch keeps it: its faces and vectors as source and as target, or why it cannot be used."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import RequestError
from likeness.faces import Face, OrientationCorrection

#: Placeholder in reasons for the name of the photo: one description may serve photos of several names.
PHOTO = "\x00photo\x00"

#: What a photo is needed as; both may be asked at once.
AS_SOURCE, AS_TARGET = 1, 2


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why a photo cannot be used: the class in `likeness.errors`, the service's error `code`, and the `reason` with
    PHOTO for the photo's name.
    """

    kind: str
    code: str
    reason: str

    @classmethod
    def of(cls, error: RequestError, name: str = PHOTO) -> "Failure":
        """What is to be kept of an error of a photo that goes by `name` in it."""
        return cls(type(error).__name__, error.code, str(error).replace(name, PHOTO))

    def reason_for(self, name: str) -> str:
        """The reason with the photo's name in it."""
        return self.reason.replace(PHOTO, name)


class Faces(msgspec.Struct, frozen=True, tag="faces"):
    """Faces with their vectors, row by row: float32, little-endian."""

    faces: tuple[Face, ...]
    vectors: bytes
    orientation_correction: OrientationCorrection | None = None

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The vectors (N, D)."""
        flat = np.frombuffer(self.vectors, dtype="<f4")
        return flat.reshape(len(self.faces), -1) if self.faces else flat.reshape(0, 0)


class DescribedPhoto(msgspec.Struct, frozen=True):
    """What a photo is as a source, one face, and as a target, up to 100; None where it was not needed as that."""

    source: Faces | Failure | None = None
    target: Faces | Failure | None = None

    @property
    def roles(self) -> int:
        """AS_SOURCE and AS_TARGET, as far as it was described."""
        return AS_SOURCE * (self.source is not None) | AS_TARGET * (self.target is not None)

    @property
    def faces(self) -> int:
        """How many faces are held of it."""
        return sum(len(side.faces) for side in (self.source, self.target) if isinstance(side, Faces))

    @property
    def failed(self) -> bool:
        """Whether it cannot be used in a role that it was needed in."""
        return isinstance(self.source, Failure) or isinstance(self.target, Failure)

    def reason_for(self, name: str) -> str:
        """Why it cannot be used, with the photo's name and the error's code; empty where it can."""
        for role, side in (("source", self.source), ("target", self.target)):
            if isinstance(side, Failure):
                return f"{side.reason_for(f'{role} photo ({name})')} ({side.code})"
        return ""


def encode(photo: DescribedPhoto) -> bytes:
    """For the face store."""
    return _ENCODER.encode(photo)


def decode(payload: bytes) -> DescribedPhoto:
    """What `encode` made."""
    return _DECODER.decode(payload)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DescribedPhoto)
