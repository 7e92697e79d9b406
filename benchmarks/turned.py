"""Matches of rotated photos at Similarity 80, for every 15 degrees, or every `--step`.

    python benchmarks/turned.py [--people 60] [--step 15] [--without-upright]

Compares two photos of each of N people of lfw-dev (LIKENESS_DATA), drawn with a fixed seed; the second is rotated about
its centre within its frame. With --without-upright no face is searched in steps of 45 degrees (`seen_upright`). Exits 1
if fewer than 55 of 60 match at any angle.
"""

import argparse
import os
import random
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import Comparer
from likeness.vision import turned as search

FOLDER = (
    Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "lfw-dev/images"
)
LEAST_SHARE = 55 / 60
Pixels = NDArray[np.uint8]


def pairs(people: int) -> list[tuple[Path, Path]]:
    """The first two photos of `people` people."""
    photos = [sorted(each.iterdir()) for each in sorted(FOLDER.iterdir()) if each.is_dir()]
    some = random.Random(5).sample([each for each in photos if len(each) > 1], people)
    return [(first, second) for first, second, *_ in some]


def read(path: Path) -> Pixels:
    photo = cv2.imread(str(path))
    assert photo is not None
    return np.asarray(photo[:, :, ::-1], np.uint8)


def turned(photo: Pixels, degrees: float) -> Pixels:
    """The photo rotated counterclockwise about its centre, in the same frame."""
    height, width = photo.shape[:2]
    onto = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(photo, onto, (width, height)), np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--step", type=int, default=15, help="degrees from one angle to the next")
    parser.add_argument("--without-upright", action="store_true", help="the detector's points as they are")
    options = parser.parse_args()
    without = mock.patch.object(search, "seen_upright", lambda _detector, _photo, face: face)
    with without if options.without_upright else nullcontext(), Comparer() as comparer:
        sides = [(comparer.prepare(first, prefer="central"), read(second)) for first, second in pairs(options.people)]
        least = options.people
        for degrees in range(0, 360, options.step):
            found = sum(bool(comparer.compare(source, turned(photo, degrees)).matches) for source, photo in sides)
            print(f"{degrees:4d} degrees: {found} of {options.people} match", flush=True)
            least = min(least, found)
    return int(least < LEAST_SHARE * options.people)


if __name__ == "__main__":
    raise SystemExit(main())
