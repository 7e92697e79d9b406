"""The faces of many photos in one blob, from which those of a single photo can be read."""

import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise

from likeness.batch.described import DescribedPhoto, decode, encode
from likeness.batch.errors import BatchError
from likeness.batch.storage import Storage

#: A part is what is lost if an actor dies: ten seconds of its work.
PHOTOS_A_PART = 64
#: A zero, then the end of each photo of a part, unsigned.
_TABLE = struct.Struct(f"<{PHOTOS_A_PART + 1}I")
_OFFSETS_HELD = 4096
_PHOTOS_HELD = 8192


def part_name(number: int) -> str:
    """The name of a part in the folder faces."""
    return f"{number:08}.faces"


def part_of(photos: Sequence[DescribedPhoto]) -> bytes:
    """The concatenated photos after a table of their ends."""
    payloads = [encode(photo) for photo in photos]
    ends = list(accumulate(map(len, payloads)))
    return _TABLE.pack(*([0, *ends] + [0] * PHOTOS_A_PART)[: PHOTOS_A_PART + 1]) + b"".join(payloads)


class StoredPhotos:
    """The photos in the parts of a storage, by number from 1."""

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

    def part(self, part: int) -> list[DescribedPhoto]:
        """The descriptions of all photos of a part."""
        content = self._storage.read(f"faces/{part_name(part)}")
        with _damage_of(part):
            ends = _TABLE.unpack(content[: _TABLE.size])
            blobs = content[_TABLE.size :]
            # The table of a part that is not full ends with zeros.
            return [decode(blobs[start:end]) for start, end in pairwise(ends) if end > start]

    def _read(self, number: int) -> DescribedPhoto:
        part, place = divmod(number - 1, PHOTOS_A_PART)
        name = f"faces/{part_name(part)}"
        with _damage_of(part):
            if part not in self._tables:
                self._tables[part] = _TABLE.unpack(self._storage.read(name, 0, _TABLE.size))
                if len(self._tables) > _OFFSETS_HELD:
                    self._tables.popitem(last=False)
            start, end = self._tables[part][place : place + 2]
            return decode(self._storage.read(name, _TABLE.size + start, end - start))


@contextmanager
def _damage_of(part: int) -> Iterator[None]:
    """Turns what reading a damaged part raises into a BatchError that names it."""
    try:
        yield
    except (struct.error, ValueError) as error:
        name = f"faces/{part_name(part)}"
        raise BatchError(f"{name} of the shared place is damaged ({error}); remove it and run again") from error
