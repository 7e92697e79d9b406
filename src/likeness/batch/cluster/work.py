"""What the nodes of a cluster do: describe the photos of a part, compare the pairs of a shard. Ray is not needed here.

Each writes one blob with a fixed name, so repeating it changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from likeness.batch.cluster.parts import PHOTOS_A_PART, StoredPhotos, part_name, part_of
from likeness.batch.cluster.storage import Storage, open_storage
from likeness.batch.describe import BatchOptions
from likeness.batch.local import read_and_describe
from likeness.batch.outputs import encode_lines
from likeness.batch.photos import PhotoReader
from likeness.batch.plan import Plan
from likeness.batch.records import records_of
from likeness.batch.rows import Row, Rows
from likeness.batch.shards import in_batches
from likeness.comparer import Comparer
from likeness.sources.store import StoreSettings
from likeness.sources.stores import Stores


@dataclass(frozen=True, slots=True)
class Work:
    """What a node has to know: where the storage is and where photos are, by path, and the options."""

    storage: str
    images: str
    options: BatchOptions
    full: bool

    def opened(self) -> tuple[Storage, Comparer]:
        """The storage, and an engine that keeps to one thread."""
        return open_storage(self.storage), Comparer(self.options.pack, settings=self.options.settings, threads=1)


def write_plan(storage: Storage, plan: Plan, pairs: Rows, rows_a_shard: int) -> tuple[int, int]:
    """Leaves the photos of each part and the pairs of each shard in the storage; returns how many of each there are."""
    parts = shards = 0
    for parts, photos in enumerate(_parts(plan.photos()), 1):
        storage.write(f"photos/{parts - 1:08}.json", msgspec.json.encode(photos))
    for shards, rows in enumerate(in_batches(pairs, rows_a_shard), 1):
        numbered = [(plan.number(row.source), plan.number(row.target), row) for row in rows]
        storage.write(f"pairs/{shards - 1:08}.json", msgspec.json.encode(numbered))
    return parts, shards


def _parts(photos: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    part: list[tuple[str, int]] = []
    for photo in photos:
        part.append(photo)
        if len(part) == PHOTOS_A_PART:
            yield part
            part = []
    if part:
        yield part


class DescribeParts:
    """An actor with a warm engine: batches of part numbers to batches of how many photos that were, and failed."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._storage, self._comparer = work.opened()
        settings = work.options.settings
        self._read = PhotoReader(Path(work.images), Stores((StoreSettings(),)), settings.max_bytes)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = [self._part(int(number)) for number in batch["number"]]
        return {"photos": [photos for photos, _ in done], "failed": [failed for _, failed in done]}

    def _part(self, number: int) -> tuple[int, int]:
        listed = msgspec.json.decode(self._storage.read(f"photos/{number:08}.json"), type=list[tuple[str, int]])
        described = [
            read_and_describe(self._comparer, self._read, reference, roles, self._work.options)[1]
            for reference, roles in listed
        ]
        self._storage.write(f"faces/{part_name(number)}", part_of(described))
        return len(described), sum(photo.failed for photo in described)


class CompareShards:
    """An actor that holds what scores faces: batches of shard numbers to batches of how many pairs that were."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._storage, self._comparer = work.opened()
        self._photos = StoredPhotos(self._storage)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"pairs": [self._shard(int(number)) for number in batch["number"]]}

    def _shard(self, number: int) -> int:
        listed = msgspec.json.decode(self._storage.read(f"pairs/{number:08}.json"), type=list[tuple[int, int, Row]])
        photos = {row.source: self._photos.get(first) for first, _, row in listed}
        photos |= {row.target: self._photos.get(second) for _, second, row in listed}
        records = records_of(
            self._comparer,
            [row for _, _, row in listed],
            photos,
            threshold=self._work.options.similarity_threshold,
            full=self._work.full,
        )
        self._storage.write(f"shards/{number:08}.jsonl", encode_lines(records))
        return len(records)
