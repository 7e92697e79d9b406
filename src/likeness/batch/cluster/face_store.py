"""The face store of a cluster: the descriptions of photos in the shared storage, one blob per content.

It is used by runs with `--keep-store`, or if it exists; the run itself works on parts.
"""

import hashlib

from likeness.batch.described import DescribedPhoto, decode, encode
from likeness.batch.storage import Storage, open_storage


class StoredFaces:
    """Descriptions of photos by the SHA-256 of their content, by `maker` (see `describe.identity`)."""

    def __init__(self, place: str, maker: str) -> None:
        self._storage: Storage = open_storage(place)
        self._folder = f"kept/{hashlib.sha256(maker.encode()).hexdigest()[:16]}"

    def known(self, content: bytes) -> DescribedPhoto | None:
        """The description of a photo, None if there is none that can be read."""
        try:
            return decode(self._storage.read(f"{self._folder}/{content.hex()}"))
        except (FileNotFoundError, ValueError):  # a damaged one is replaced
            return None

    def put(self, content: bytes, photo: DescribedPhoto) -> None:
        """Stores a description."""
        self._storage.write(f"{self._folder}/{content.hex()}", [encode(photo)])

    def remove(self) -> None:
        """Removes all descriptions of this maker."""
        self._storage.remove(self._folder)
