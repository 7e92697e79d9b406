"""Time and peak memory of evaluating many photos of one cell, each compared with every other.

    python benchmarks/evaluation.py [--photos 20000] [--blocks N]

The vectors are random, two for each person, and the scorer's cohort is as large as that of `standard`. With --blocks
only the first N blocks of pairs are compared; memory does not grow with further blocks, which add only to counts.
"""

import argparse
import contextlib
import resource
import sys
import time

import numpy as np

from likeness.evaluation.by_cell import CalibratedScorer, blocks_of, evaluate_cells
from likeness.evaluation.cohort import COUNT, NEAREST
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.photo_table import PhotoTable
from likeness.vision.calibration import Calibration
from likeness.vision.scoring import Scorer

SIZE = 192
CURVE = Calibration((0.0, 4.0, 6.0), (-0.3, -3.0, -6.0), 0.01, -6.0)


class Enough(Exception):
    """The requested number of blocks has been compared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--blocks", type=int, help="compare only this number of blocks of pairs")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    scorer = Scorer(generator.standard_normal((COUNT, SIZE)).astype(np.float32), nearest=NEAREST)
    vectors = generator.standard_normal((options.photos, SIZE)).astype(np.float32)
    table = PhotoTable(tuple(map(str, range(options.photos))), np.arange(options.photos) // 2, {})
    blocks = blocks_of({"all": options.photos})
    wanted = min(options.blocks or blocks, blocks)
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done == wanted < blocks:
            raise Enough

    started, processor = time.perf_counter(), time.process_time()
    with contextlib.suppress(Enough):
        evaluate_cells(
            CalibratedScorer(scorer, CURVE),
            table,
            Embeddings(vectors, {}),
            {"all": np.arange(options.photos)},
            advance=advance,
        )
    took, processor = time.perf_counter() - started, time.process_time() - processor
    # Linux counts in kB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"photos          {options.photos:,}")
    print(f"blocks          {done} of {blocks}")
    print(f"time            {took:.0f} s, {processor:.0f} s of processor time")
    print(f"peak memory MB  {peak / 1e6:.0f}")


if __name__ == "__main__":
    main()
