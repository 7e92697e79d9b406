"""Finds one person in a folder: the photos that show them, the most similar face first.

    python examples/find_person.py portrait.jpg folder [--threshold 90]

The portrait is analysed once (`Comparer.prepare`) and compared with each photo of the folder. For many portraits or a
large folder, use `likeness batch`, which shows its progress and resumes interrupted runs.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from likeness import Comparer
from likeness.errors import RequestError

PHOTOS = (".jpg", ".jpeg", ".png")


def found(portrait: Path, folder: Path, threshold: float) -> Iterator[tuple[float, Path]]:
    """The photos with a face at or above the threshold, each with its highest Similarity."""
    with Comparer() as comparer:
        source = comparer.prepare(portrait)
        for photo in sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS):
            try:
                comparison = comparer.compare(source, photo, similarity_threshold=threshold)
            except RequestError as error:
                print(f"{photo}: {error}", file=sys.stderr)  # the search continues with the next photo
                continue
            if comparison.matches:
                yield comparison.matches[0].similarity, photo


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("portrait", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threshold", type=float, default=90.0)
    options = parser.parse_args()
    for similarity, photo in sorted(found(options.portrait, options.folder, options.threshold), reverse=True):
        print(f"{similarity:5.1f}  {photo}")


if __name__ == "__main__":
    main()
