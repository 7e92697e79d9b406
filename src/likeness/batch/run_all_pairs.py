"""`--all-pairs` on this machine: analyse photos into blocks, compare these, write the most similar pairs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from likeness.batch.all_pairs import PHOTOS_A_BLOCK, AllPairs, Blocks, block_of
from likeness.batch.described import DescribedPhoto, Failure
from likeness.batch.errors import BatchError
from likeness.batch.local import LocalPhotos, one_ahead
from likeness.batch.outputs import encode_lines
from likeness.batch.plan import Plan
from likeness.batch.progress import Progress
from likeness.batch.shards import shard_name
from likeness.comparer import Comparer


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted pairs: their least similarity and number per photo; and whether an unusable photo ends the run."""

    threshold: float
    top: int
    fail_fast: bool = False


def search(
    comparer: Comparer, blocks: Blocks, plan: Plan, described: LocalPhotos, wanted: Wanted, progress: Progress
) -> None:
    """Writes the records next to the blocks, as the only shard of the output; resumes an interrupted search."""
    missing = ((number, photos_of(plan, number)) for number in blocks.missing("vectors"))
    for number, photos in one_ahead(missing, lambda upcoming: described.begin(upcoming[1])):
        found = _checked(photos, described) if wanted.fail_fast else map(described.get, photos)
        block = block_of(number * PHOTOS_A_BLOCK, found)
        described.keep()
        blocks.write(number, block)
    work = AllPairs(comparer, blocks, wanted.threshold, wanted.top)
    for number in blocks.missing("candidates"):
        blocks.write_candidates(number, work.candidates(number))
        progress.pairs(blocks.pairs(number))
    write_most_similar(blocks, wanted.top, lambda place: plan.reference(place + 1))


def write_most_similar(blocks: Blocks, top: int, name: Callable[[int], str]) -> None:
    """Writes the records of the most similar pairs; `name` maps an index in the list of photos to a reference."""
    blocks.storage.write(f"shards/{shard_name(0)}", (encode_lines([record]) for record in blocks.records(top, name)))


def photos_of(plan: Plan, number: int) -> list[str]:
    """The references of the photos of a block."""
    return [reference for reference, _ in plan.photos(number * PHOTOS_A_BLOCK, PHOTOS_A_BLOCK)]


def _checked(photos: Iterable[str], described: LocalPhotos) -> Iterator[DescribedPhoto]:
    for name in photos:
        photo = described.get(name)
        if isinstance(photo.source, Failure):
            reason = photo.source.reason_for(f"photo ({name})")
            raise BatchError(f"{reason} ({photo.source.code}); the batch ends here, as --fail-fast asks")
        yield photo
