"""Damages photos at random and decodes them, until the time is up or something breaks.

    python tests/faults/fuzz.py [--minutes 10] [--seed N] [--engine]

With --engine, whole comparisons, each photo as source and as target; without, decoding at every scale, a thousand
photos a second. A photo that causes anything but an answer or a RequestError, or takes more than two seconds, stays in
the folder of --keep, and the command exits with 1. After a crash of the process, the photo is in that folder as well.
"""

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from mutations import photos, seeds

import likeness
from likeness.errors import RequestError
from likeness.image import REDUCTIONS, open_image


def decode(photo: bytes) -> None:
    """The photo at every scale."""
    image = open_image(photo)
    for reduction in REDUCTIONS:
        image.pixels(reduction)


def comparing() -> Callable[[bytes], None]:
    """A whole comparison, the photo as source and as target."""
    comparer = likeness.Comparer()
    portrait = comparer.prepare(seeds(side=320)[0][1])

    def compare(photo: bytes) -> None:
        comparer.compare(portrait, photo).to_dict()
        comparer.prepare(photo)

    return compare


def outcome(work: Callable[[bytes], None], photo: bytes) -> str:
    """ "answer", or the class of the RequestError; any other exception propagates."""
    try:
        work(photo)
    except RequestError as error:
        return type(error).__name__
    return "answer"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    options.keep.mkdir(exist_ok=True)
    work = comparing() if options.engine else decode
    until = time.monotonic() + 60 * options.minutes
    endings: Counter[str] = Counter()
    slowest = 0.0
    for name, photo in takewhile(lambda _: time.monotonic() < until, photos(options.seed)):
        kept = options.keep / name
        kept.write_bytes(photo)
        started = time.perf_counter()
        try:
            endings[outcome(work, photo)] += 1
        except Exception:  # noqa: BLE001 - whatever comes is a finding
            traceback.print_exc()
            sys.stderr.write(f"seed {options.seed}: broken by {kept}\n")
            return 1
        slowest = max(slowest, time.perf_counter() - started)
        if slowest > 2:
            sys.stderr.write(f"seed {options.seed}: {slowest:.1f} s for {kept}\n")
            return 1
        kept.unlink()
    sys.stdout.write(f"seed {options.seed}: {endings.total()} photos, slowest {slowest:.2f} s, {dict(endings)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
