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
from likeness.batch.shards import in_batches, shard_name
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


@dataclass(frozen=True, slots=True)
class Missing:
    """Numbers of the parts and of the shards that are still to be made."""

    parts: list[int]
    shards: list[int]


def write_plan(storage: Storage, plan: Plan, pairs: Rows, rows_a_shard: int, written: set[str]) -> Missing:
    """Leaves in the storage the pairs of each shard that is not `written`, and the photos of each part; returns those
    parts that these shards need and the storage does not have.
    """
    needed: set[int] = set()
    shards: list[int] = []
    for shard, rows in enumerate(in_batches(pairs, rows_a_shard)):
        if shard_name(shard) in written:
            continue
        shards.append(shard)
        numbered = [(plan.number(row.source), plan.number(row.target), row) for row in rows]
        needed.update((number - 1) // PHOTOS_A_PART for first, second, _ in numbered for number in (first, second))
        storage.write(f"pairs/{shard:08}.json", msgspec.json.encode(numbered))
    there = storage.names("faces")
    parts = sorted(part for part in needed if part_name(part) not in there)
    for part, photos in enumerate(_parts(plan.photos())):
        if part in needed:
            storage.write(f"photos/{part:08}.json", msgspec.json.encode(photos))
    return Missing(parts, shards)


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
    """An actor with a warm engine: batches of part numbers to how many photos each has, how many of them cannot be
    used, and why the first of these cannot.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._storage, self._comparer = work.opened()
        settings = work.options.settings
        self._read = PhotoReader(Path(work.images), Stores((StoreSettings(),)), settings.max_bytes)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = [self._part(int(number)) for number in batch["number"]]
        return {name: [each[name] for each in done] for name in ("photos", "failed", "reason")}

    def _part(self, number: int) -> dict[str, Any]:
        listed = msgspec.json.decode(self._storage.read(f"photos/{number:08}.json"), type=list[tuple[str, int]])
        described = [
            read_and_describe(self._comparer, self._read, reference, roles, self._work.options)[1]
            for reference, roles in listed
        ]
        self._storage.write(f"faces/{part_name(number)}", part_of(described))
        reasons = [photo.reason_for(name) for photo, (name, _) in zip(described, listed, strict=True) if photo.failed]
        return {"photos": len(described), "failed": len(reasons), "reason": reasons[0] if reasons else ""}


class CompareShards:
    """An actor that scores faces: batches of shard numbers to how many pairs each has, and why the first that cannot be
    compared cannot.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._storage, self._comparer = work.opened()
        self._photos = StoredPhotos(self._storage)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = [self._shard(int(number)) for number in batch["number"]]
        return {name: [each[name] for each in done] for name in ("pairs", "reason")}

    def _shard(self, number: int) -> dict[str, Any]:
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
        self._storage.write(f"shards/{shard_name(number)}", encode_lines(records))
        reasons = (f"{each['reason']} ({each['error']})" for each in records if each["error"] is not None)
        return {"pairs": len(records), "reason": next(reasons, "")}
