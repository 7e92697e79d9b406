"""Another checkout of Likeness against this one: processor time, time and memory of the same comparisons, interleaved.

    git worktree add ../old 355f669 && make -C ../old .venv/.installed
    python -m benchmarks.old_beside_new ../old [--rounds 9]

Each checkout runs in its own process with its own interpreter (.venv), its own packs (LIKENESS_HOME, `--old-home` for
the other) and the same photos. Ratios are medians over rounds of new over old. `cold start` is a whole process that
compares one pair, with all views of its pack.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.speed.cases import CASES

REPOSITORY = Path(__file__).resolve().parents[1]

_WORKER = """
import dataclasses, resource, sys, time
import numpy as np
from likeness import Comparer
comparer = Comparer()
comparer.warm_up()
if {one_look}:
    embedder = comparer._engine.embedder
    embedder.aligner = dataclasses.replace(embedder.aligner, views=embedder.aligner.views[-1:])
embedders = getattr(comparer._engine, "embedders", None) or [comparer._engine.embedder]
print(sum(len(each.aligner.views) for each in embedders), flush=True)
scorer = comparer._engine.scorer
vectors = np.random.default_rng(0).standard_normal((2, 1, 192)).astype(np.float32)
for line in sys.stdin:
    source, target, repeat = line.split("|")
    if source:
        photos = [open(path, "rb").read() for path in (source, target)]
        work = lambda: comparer.compare(*photos, similarity_threshold=0)
    else:
        work = lambda: scorer.compare(*map(scorer.profile, vectors))
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(int(repeat)):
        work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(cpu / int(repeat), wall / int(repeat), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""
#: The name of the case without photos.
SCORING = "scoring"
_ONCE = "import likeness, sys; likeness.compare_faces(sys.argv[1], sys.argv[2], similarity_threshold=0)"


class Checkout:
    """A checkout and its process."""

    def __init__(self, folder: Path, home: Path, *, one_look: bool = False) -> None:
        self._python = str(folder / ".venv" / "bin" / "python")
        self._environment = {**os.environ, "LIKENESS_HOME": str(home), "LIKENESS_OFFLINE": "1"}
        self._folder = folder
        self._process = subprocess.Popen(
            [self._python, "-c", _WORKER.format(one_look=one_look)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=folder,
        )
        self.looks = int(self._answer()[0])

    def compare(self, pair: tuple[Path, Path] | None, repeat: int) -> list[float]:
        """Seconds of processor time and of time for one comparison, and the process's peak memory in kB; without a pair
        of photos, for scoring two vectors that were not scored before.
        """
        assert self._process.stdin is not None
        source, target = pair or ("", "")
        self._process.stdin.write(f"{source}|{target}|{repeat}\n")
        self._process.stdin.flush()
        return [float(number) for number in self._answer()]

    def cold_start(self, source: Path, target: Path) -> list[float]:
        """Seconds of processor time and of time of a process that makes one comparison."""
        before, started = os.times(), time.perf_counter()
        command = [self._python, "-c", _ONCE, str(source), str(target)]
        subprocess.run(command, check=True, env=self._environment, cwd=self._folder)
        took, after = time.perf_counter() - started, os.times()
        cpu = after.children_user - before.children_user + after.children_system - before.children_system
        return [cpu, took]

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().split()
        if not line:
            raise SystemExit(f"the process of {self._folder} ended")
        return line


def _print(name: str, old: list[list[float]], new: list[list[float]]) -> None:
    """Prints the medians of processor time and of time, and the medians over rounds of new over old."""
    cells = []
    for column in (0, 1):
        olds, news = ([row[column] for row in rows] for rows in (old, new))
        ratio = statistics.median(b / a for a, b in zip(olds, news, strict=True))
        cells.append(f"{1000 * statistics.median(olds):9.2f} {1000 * statistics.median(news):9.2f} {ratio:6.2f}")
    print(f"{name:28s} {cells[0]}   {cells[1]}", flush=True)


def _by_turns(
    both: list[Checkout], pair: tuple[Path, Path] | None, repeat: int, rounds: int
) -> tuple[list[list[float]], list[list[float]]]:
    """The measurements of both checkouts by round, after a round of warm-up."""
    rows: tuple[list[list[float]], list[list[float]]] = ([], [])
    for round_ in range(rounds + 1):
        for which in (0, 1) if round_ % 2 else (1, 0):
            measured = both[which].compare(pair, repeat)
            if round_:
                rows[which].append(measured)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the other checkout, with its .venv")
    parser.add_argument("--old-home", type=Path, help="its LIKENESS_HOME, by default this one's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", nargs="*", help="names of some cases only; scoring: two vectors")
    parser.add_argument("--one-look", action="store_true", help="use one view per face in this checkout, as at 355f669")
    options = parser.parse_args()
    home = Path(os.environ.get("LIKENESS_HOME", Path.home() / ".cache" / "likeness"))
    both = [
        Checkout(options.old.resolve(), options.old_home or home),
        Checkout(REPOSITORY, home, one_look=options.one_look),
    ]
    print(f"views a face: old {both[0].looks}, new {both[1].looks}; Python {sys.version.split()[0]}")
    print(f"{'':28s}  cpu ms: old, new, ratio            ms: old, new, ratio")
    if not options.cases or SCORING in options.cases:
        _print("scoring two faces", *_by_turns(both, None, 500, options.rounds))
    memory: list[list[float]] = [[], []]
    for case in CASES:
        if case.targets or (options.cases and case.name not in options.cases):
            continue
        pair = case.pair()
        repeat = max(1, case.repeat["likeness"] // 4)
        rows = _by_turns(both, (pair.source, pair.target), repeat, options.rounds)
        _print(case.title, *rows)
        for kept, each in zip(memory, rows, strict=True):
            kept.append(each[-1][2])
    if memory[0]:
        pair = CASES[1].pair()
        cold = [[each.cold_start(pair.source, pair.target) for each in both] for _ in range(options.rounds)]
        _print("cold start", [row[0] for row in cold], [row[1] for row in cold])
        print(f"{'peak memory, MB':28s} {memory[0][-1] / 1024:9.0f} {memory[1][-1] / 1024:9.0f}")
    for checkout in both:
        checkout.close()


if __name__ == "__main__":
    main()
