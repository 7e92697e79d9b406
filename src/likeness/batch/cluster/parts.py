"""Faces of many photos in one blob, of which one photo's are read alone."""

import struct
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate

from likeness.batch.cluster.storage import Storage
from likeness.batch.described import DescribedPhoto, decode, encode

#: A part is what is lost with an actor: ten seconds of its work.
PHOTOS_A_PART = 64
_OFFSETS_HELD = 4096
_PHOTOS_HELD = 8192


def part_name(number: int) -> str:
    """The name of a part, in the folder faces."""
    return f"{number:08}.faces"


def part_of(photos: Sequence[DescribedPhoto]) -> bytes:
    """Photos one behind the other, with a table of where each ends before them (unsigned 32 bits, little-endian)."""
    payloads = [encode(photo) for photo in photos]
    ends = list(accumulate(map(len, payloads)))
    return struct.pack(f"<{PHOTOS_A_PART + 1}I", *([0, *ends] + [0] * PHOTOS_A_PART)[: PHOTOS_A_PART + 1]) + b"".join(
        payloads
    )


class StoredPhotos:
    """Photos by their numbers, which count from 1, as the parts in a storage hold them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._tables: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self._photos: OrderedDict[int, DescribedPhoto] = OrderedDict()

    def get(self, number: int) -> DescribedPhoto:
        """The description of a photo."""
        if number not in self._photos:
            self._photos[number] = self._read(number)
            if len(self._photos) > _PHOTOS_HELD:
                self._photos.popitem(last=False)
        self._photos.move_to_end(number)
        return self._photos[number]

    def _read(self, number: int) -> DescribedPhoto:
        part, place = divmod(number - 1, PHOTOS_A_PART)
        name = f"faces/{part_name(part)}"
        if part not in self._tables:
            size = 4 * (PHOTOS_A_PART + 1)
            self._tables[part] = struct.unpack(f"<{PHOTOS_A_PART + 1}I", self._storage.read(name, 0, size))
            if len(self._tables) > _OFFSETS_HELD:
                self._tables.popitem(last=False)
        start, end = self._tables[part][place : place + 2]
        return decode(self._storage.read(name, 4 * (PHOTOS_A_PART + 1) + start, end - start))
