"""The work of a cluster's nodes: analyse the photos of a part, compare the pairs of a shard, or search photos for
pairs. It does not need Ray.

Each writes one blob with a fixed name, so that repeating it changes nothing.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from likeness.batch.all_pairs import PHOTOS_A_BLOCK, AllPairs, Blocks, block_of
from likeness.batch.cluster.face_store import StoredFaces
from likeness.batch.cluster.parts import PHOTOS_A_PART, StoredPhotos, part_name, part_of
from likeness.batch.describe import BatchOptions, identity
from likeness.batch.described import DescribedPhoto
from likeness.batch.local import Known, read_and_describe
from likeness.batch.outputs import encode_lines
from likeness.batch.photos import PhotoReader
from likeness.batch.plan import Plan
from likeness.batch.records import records_of
from likeness.batch.rows import Row, Rows
from likeness.batch.run_all_pairs import write_most_similar
from likeness.batch.shards import in_batches, shard_name
from likeness.batch.storage import Storage, open_storage
from likeness.comparer import Comparer
from likeness.sources.store import StoreSettings
from likeness.sources.stores import Stores

#: The most parts whose lists of photos are in memory while pairs are written.
_PARTS_HELD = 4096


@dataclass(frozen=True, slots=True)
class Work:
    """What a node needs: the places of the storage, the photos, the face store and the buckets, and the options; for a
    search also the number of photos and the number of pairs per photo.
    """

    storage: str
    images: str
    options: BatchOptions
    full: bool = False
    kept: str | None = None
    stores: tuple[StoreSettings, ...] = (StoreSettings(),)
    photos: int = 0
    top: int = 0
    marks: Mapping[str, bool] = field(default_factory=dict)

    def comparer(self) -> Comparer:
        """A Comparer with one thread."""
        return Comparer(self.options.pack, settings=self.options.settings, threads=1)

    def blocks(self) -> Blocks:
        """The blocks of a search in the shared storage."""
        return Blocks(open_storage(self.storage), self.photos, self.marks)


@dataclass(frozen=True, slots=True)
class Missing:
    """The numbers of the missing parts and shards."""

    parts: list[int]
    shards: list[int]


def write_plan(storage: Storage, plan: Plan, pairs: Rows, rows_a_shard: int, written: set[str]) -> Missing:
    """Writes the pairs of each shard that is not `written`, and the photos of each part, into the storage; returns the
    missing shards, and the missing parts that they need.
    """
    needed: set[int] = set()
    shards: list[int] = []
    for shard, rows in enumerate(in_batches(pairs, rows_a_shard)):
        if shard_name(shard) in written:
            continue
        shards.append(shard)
        numbered = [(plan.number(row.source), plan.number(row.target), row) for row in rows]
        needed.update((number - 1) // PHOTOS_A_PART for first, second, _ in numbered for number in (first, second))
        storage.write(f"pairs/{shard:08}.json", [msgspec.json.encode(numbered)])
    return Missing(write_parts(storage, plan, needed), shards)


def write_parts(storage: Storage, plan: Plan, needed: Container[int]) -> list[int]:
    """Writes the photos of each needed part into the storage; returns the parts whose faces are missing."""
    there = storage.names("faces")
    missing = []
    for part, photos in enumerate(_parts(plan.photos())):
        if part in needed:
            storage.write(f"photos/{part:08}.json", [msgspec.json.encode(photos)])
            if part_name(part) not in there:
                missing.append(part)
    return missing


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
    """An actor with a loaded engine. For batches of part numbers it returns the number of photos of each, the number of
    unusable ones, and the reason of the first of these.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._storage, self._comparer = open_storage(work.storage), work.comparer()
        self._kept = StoredFaces(work.kept, identity(self._comparer, work.options)) if work.kept else None
        settings = work.options.settings
        self._read = PhotoReader(Path(work.images), Stores(work.stores), settings.max_bytes)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = [self._part(int(number)) for number in batch["number"]]
        return {name: [each[name] for each in done] for name in ("photos", "failed", "reason")}

    def _part(self, number: int) -> dict[str, Any]:
        listed = photos_of_part(self._storage, number)
        described = [self._described(reference, roles) for reference, roles in listed]
        self._storage.write(f"faces/{part_name(number)}", [part_of(described)])
        reasons = [photo.reason_for(name) for photo, (name, _) in zip(described, listed, strict=True) if photo.failed]
        return {"photos": len(described), "failed": len(reasons), "reason": reasons[0] if reasons else ""}

    def _described(self, reference: str, roles: int) -> DescribedPhoto:
        known: Known = self._kept.known if self._kept else lambda _: None
        content, described = read_and_describe(self._comparer, self._read, reference, roles, self._work.options, known)
        if self._kept and not described.failed:  # another run tries unusable photos again
            self._kept.put(content, described)
        return described


class CompareShards:
    """An actor that compares pairs. For batches of shard numbers it returns the number of pairs of each, and the reason
    of the first pair that cannot be compared.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._storage, self._comparer = open_storage(work.storage), work.comparer()
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
        self._storage.write(f"shards/{shard_name(number)}", [encode_lines(records)])
        reasons = (f"{each['reason']} ({each['error']})" for each in records if each["error"] is not None)
        return {"pairs": len(records), "reason": next(reasons, "")}


class MakeBlocks:
    """An actor that gathers the vectors of a search. For batches of block numbers it returns nothing."""

    def __init__(self, work: Work) -> None:
        self._blocks = work.blocks()
        self._photos = StoredPhotos(self._blocks.storage)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for number in map(int, batch["number"]):
            parts = parts_of_block(number, self._blocks.photos)
            photos = chain.from_iterable(map(self._photos.part, parts))
            self._blocks.write(number, block_of(number * PHOTOS_A_BLOCK, photos))
        return {"pairs": [0] * len(batch["number"])}


class SearchBlocks:
    """An actor that compares all pairs of photos. For batches of block numbers it returns their numbers of pairs."""

    def __init__(self, work: Work) -> None:
        self._blocks = work.blocks()
        self._search = AllPairs(work.comparer(), self._blocks, work.options.similarity_threshold, work.top)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        numbers = [int(number) for number in batch["number"]]
        for number in numbers:
            self._blocks.write_candidates(number, self._search.candidates(number))
        return {"pairs": [self._blocks.pairs(number) for number in numbers]}


class WriteMostSimilar:
    """The one actor that ranks the candidates and writes the records."""

    def __init__(self, work: Work) -> None:
        self._blocks, self._top = work.blocks(), work.top
        self._names = lru_cache(_PARTS_HELD)(partial(photos_of_part, self._blocks.storage))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        write_most_similar(self._blocks, self._top, self._name)
        return {"pairs": [0] * len(batch["number"])}

    def _name(self, place: int) -> str:
        part, place = divmod(place, PHOTOS_A_PART)
        return self._names(part)[place][0]


def photos_of_part(storage: Storage, number: int) -> list[tuple[str, int]]:
    """The references and roles of the photos of a part."""
    return msgspec.json.decode(storage.read(f"photos/{number:08}.json"), type=list[tuple[str, int]])


def parts_of_block(number: int, photos: int) -> range:
    """The numbers of the parts with the photos of a block."""
    parts = PHOTOS_A_BLOCK // PHOTOS_A_PART
    return range(number * parts, min((number + 1) * parts, -(-photos // PHOTOS_A_PART)))
