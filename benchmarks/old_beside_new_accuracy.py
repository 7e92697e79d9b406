"""Another checkout of Likeness against this one: genuine pairs accepted at the same false match rates.

    git worktree add ../old 355f669 && make -C ../old .venv/.installed
    python -m benchmarks.old_beside_new_accuracy ../old [--old-home DIR] [--embeddings PREFIX]

Each checkout embeds all photos of people-dev and lfw-dev with its own interpreter (.venv), packs (LIKENESS_HOME) and
networks; their vectors are scored in the same way, relative to a cohort drawn by this checkout. Rates are means of the
cells of people-dev, cross-fitted by person; genuine pairs of people-dev are cross-fitted as well. With --embeddings the
vectors are kept in files that begin with PREFIX. Needs the evaluation data (LIKENESS_DATA).
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.accuracy import DATA, WITHIN, genuine_scores, scored_cells, with_one_view, within_cells
from numpy.typing import NDArray

from likeness.evaluation.cross_fit import GroupedFaces, cross_fitted_scores, default_scorer
from likeness.evaluation.labelled import LabelledFaces
from likeness.evaluation.photo_table import read_either
from likeness.packs.loaded import pack_folder

ROOT = Path(__file__).resolve().parents[1]
RATES = (1e-2, 1e-3, 1e-4)
TABLES = ("people-dev/people.csv", "lfw-dev/pairs.csv")

_WORKER = """
import sys
from pathlib import Path
import numpy as np
from likeness import Comparer
from likeness.evaluation.embeddings import embed_photos
to, pack, keep, *_ = sys.argv[1:]
photos = [Path(line) for line in sys.stdin.read().splitlines()]
with Comparer(Path(pack) if "/" in pack else pack) as comparer:
    np.save(to, embed_photos(comparer, photos, keep=Path(keep) if keep else None).vectors)
"""


def embedded(checkout: Path, home: Path, pack: str, photos: list[Path], keep: str) -> NDArray[np.float32]:
    """The vectors (N, D) of `photos` by the pack of another checkout; zeros without a usable face."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "vectors.npy"
        subprocess.run(
            [checkout / ".venv" / "bin" / "python", "-c", _WORKER, to, pack, keep],
            input="\n".join(map(str, photos)).encode(),
            env={**os.environ, "LIKENESS_HOME": str(home), "LIKENESS_OFFLINE": "1"},
            cwd=checkout,
            check=True,
        )
        return np.asarray(np.load(to))


def faces_of(checkout: Path, home: Path, pack: str, data: Path, keep: str) -> tuple[LabelledFaces, LabelledFaces]:
    """The faces of people-dev, with cells, and of lfw-dev, without."""
    tables = [(data / path, read_either(data / path).photos) for path in TABLES]
    photos = [path.parent / name for path, table in tables for name in table.photos]
    vectors = np.split(embedded(checkout, home, pack, photos, keep), [len(tables[0][1].photos)])
    sets = []
    for (path, table), own in zip(tables, vectors, strict=True):
        usable = own.any(axis=1)
        none = np.full(len(own), "")
        cells, groups = (table.cells(WITHIN), table.cells(WITHIN[:1])) if path == tables[0][0] else (none, none)
        sets.append(LabelledFaces(path.parent.name, own[usable], table.people[usable], cells[usable], groups[usable]))
    people, lfw = sets
    return people, lfw


def accepted(people: LabelledFaces, lfw: LabelledFaces) -> list[str]:
    """The accepted shares of genuine pairs of lfw-dev and of people-dev at each of RATES."""
    ranked, _ = scored_cells(people, within_cells(people), default_scorer)
    first, second = np.triu_indices(len(people.people), k=1)
    same = people.people[first] == people.people[second]
    own = cross_fitted_scores(GroupedFaces(people.vectors, people.people, people.groups), first[same], second[same])
    genuine = genuine_scores(lfw, default_scorer(people.vectors, people.people, people.groups))
    thresholds = [ranked.score(rate) for rate in RATES]
    shares = [f"{(scores >= threshold).mean():.4f}" for scores in (genuine, own) for threshold in thresholds]
    return [f"{len(people.people) + len(lfw.people):,}", *shares]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the other checkout, with its .venv")
    parser.add_argument("--old-home", type=Path, help="its LIKENESS_HOME, by default this one's")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--embeddings", default="", metavar="PREFIX", help="keep vectors in files and resume from them")
    options = parser.parse_args()
    home = Path(os.environ.get("LIKENESS_HOME", Path.home() / ".cache" / "likeness")).resolve()
    old, old_home = options.old.resolve(), (options.old_home or home).resolve()
    data, prefix = options.data.resolve(), options.embeddings and str(Path(options.embeddings).resolve())
    heads = [f"{name} {rate:g}" for name in ("lfw", "people") for rate in RATES]
    print(f"{'':22s}{'faces':>9s}" + "".join(f"{head:>14s}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        one_view = with_one_view(pack_folder("standard"), Path(folder) / "one-view")
        for name, checkout, at, pack in (
            ("old", old, old_home, "standard"),
            ("new, one view", ROOT, home, str(one_view)),
            ("new, as it ships", ROOT, home, "standard"),
        ):
            keep = prefix and f"{prefix}-{'old' if checkout == old else 'new'}"
            cells = accepted(*faces_of(checkout, at, pack, data, keep))
            print(f"{name:22s}{cells[0]:>9s}" + "".join(f"{cell:>14s}" for cell in cells[1:]), flush=True)


if __name__ == "__main__":
    main()
