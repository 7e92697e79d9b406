"""`--all-pairs` from a folder to its output: described, compared in shards, the most similar written; or resumed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.batch.all_pairs import PHOTOS_A_SHARD, Alike, AllPairs, one_face, read_shards, records, write_shard
from likeness.batch.described import Failure
from likeness.batch.errors import BatchError
from likeness.batch.local import LocalPhotos
from likeness.batch.outputs import encode_lines
from likeness.batch.progress import Progress
from likeness.comparer import Comparer
from likeness.whole_file import whole

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pairs are asked for: from which similarity on, of each photo how many; whether a bad photo ends it all."""

    threshold: float
    top: int
    fail_fast: bool = False


def search(
    comparer: Comparer,
    photos: list[str],
    described: LocalPhotos,
    folder: Path,
    wanted: Wanted,
    progress: Progress,
) -> None:
    """Leaves the records in `folder`, a file that `Shards` knows, and next to it the shards of the search."""
    parts, usable = [], []
    failures: dict[int, Failure] = {}
    described.begin(photos)
    for start in range(0, len(photos), _AT_ONCE):
        found = {photo: described.get(photo) for photo in photos[start : start + _AT_ONCE]}
        described.keep()
        vectors, good = one_face(found)
        parts.append(vectors)
        usable.append(good)
        for place, photo in enumerate(found.values(), start):
            if isinstance(photo.source, Failure):
                failures[place] = photo.source
                if wanted.fail_fast:
                    reason = photo.source.reason_for(f"photo ({photos[place]})")
                    raise BatchError(f"{reason} ({photo.source.code}); the batch ends here, as --fail-fast asks")
    width = max(part.shape[1] for part in parts)
    vectors = np.concatenate([part.reshape(-1, width) for part in parts])
    work = AllPairs(comparer, vectors, np.flatnonzero(np.concatenate(usable)), wanted.threshold, wanted.top)
    paths = [folder / f"alike-{number:08}.json" for number in range(work.shards)]
    for number, path in enumerate(paths):
        if not path.exists():
            write_shard(path, work.shard(number))
        progress.pairs(min(PHOTOS_A_SHARD, len(vectors) - number * PHOTOS_A_SHARD))
    chosen = Alike.joined([])
    for shard in read_shards(paths):
        chosen = Alike.joined([chosen, shard]).most_alike(wanted.top)
    with whole(folder / "00000000.jsonl") as file:
        for record in records(photos, failures, chosen):
            file.write(encode_lines([record]))
