"""Fuzzes targets in this process. `fuzz.run` starts one process for each target; tests start one for all.

python -m fuzz.worker TARGET --seconds 60 --state FILE    guided by coverage (Atheris), or at random without it
python -m fuzz.worker TARGET... --inputs 300 --seed 7     at random, reproducibly; one line of JSON for each target
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from fuzz import target as targets
from fuzz.corpora import malformed
from fuzz.formats import in_memory
from fuzz.target import Target
from fuzz.watched import MOST_BYTES, State, Watched, save

try:
    import atheris
except ImportError:
    atheris = None

#: What is instrumented: the project, and the parsers in Python that it passes bytes to.
_INSTRUMENTED = ["likeness", "h11", "yaml", "tomllib"]
#: How this process ends when one input took too much memory: the peak never falls, so another process goes on.
ANOTHER_PROCESS = 75


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--inputs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        if options.state is None:
            tempfile.tempdir = folder
        state = State(options.state or Path(folder) / "state")
        for name in options.targets:
            if options.seconds is None:
                _at_random(name, options.inputs, options.seed, state)
            else:
                return _until(name, options.seconds, options.seed, state, options.findings)
    return 0


def _at_random(name: str, inputs: int, seed: int, state: State) -> None:
    target = targets.load(name)
    findings: list[str] = []
    watched = Watched(target, state, lambda *found: findings.append("\n".join(map(str, found))))
    for data in _inputs(target, target.seeds(), seed, inputs):
        watched(data)
    print(
        json.dumps(
            {
                "target": name,
                "outcomes": watched.outcomes,
                "slowest": watched.slowest,
                "growth": watched.growth,
                "findings": findings,
            }
        ),
        flush=True,
    )


def _inputs(target: Target, seeds: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """The seeds themselves, then mutations of them."""
    chance = random.Random(seed)
    yield from seeds
    for _ in range(count):
        yield target.mutated(chance.choice(seeds), chance)


def _until(name: str, seconds: float, seed: int, state: State, findings: Path) -> int:
    if atheris is None:
        target = targets.load(name)
    else:
        with atheris.instrument_imports(include=_INSTRUMENTED):
            target = targets.load(name)
    seeds = [*target.seeds(), *(each for kind in target.corpora for each in malformed(kind, target.max_bytes))]
    watched = Watched(target, state, partial(save, findings, name))
    watched.inputs, watched.slowest, *_ = state.read()  # of the processes before
    if atheris is None:
        until = time.monotonic() + seconds
        for data in _inputs(target, seeds, seed, sys.maxsize):
            if time.monotonic() > until:
                break
            _checked(watched, data)
        return 0
    return _guided(target, seeds, watched, findings / "corpus" / name, seconds, seed)


def _checked(watched: Watched, data: bytes) -> None:
    watched(data)
    if watched.growth > MOST_BYTES:
        sys.stdout.flush()
        raise SystemExit(ANOTHER_PROCESS)


def _guided(target: Target, seeds: Sequence[bytes], watched: Watched, corpus: Path, seconds: float, seed: int) -> int:
    """Runs libFuzzer, which ends the process. Its `corpus`, a folder, outlives it, for the next process."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(data)

    def change(data: bytes, most: int, number: int) -> bytes:
        chance = random.Random(number)
        # Half of the changes are libFuzzer's own, which know what its comparisons saw.
        changed = atheris.Mutate(data, most) if chance.random() < 0.5 else target.mutated(data, chance)
        return bytes(changed[:most])

    options = [f"-max_total_time={max(1, round(seconds))}", f"-max_len={target.max_bytes}", f"-seed={seed}"]
    # Time, memory and signals are watched by the runner; time in seconds of the processor.
    options += [f"-handle_{signal}=0" for signal in ("abrt", "bus", "fpe", "ill", "segv")]
    options += ["-timeout=100000", "-rss_limit_mb=0", "-malloc_limit_mb=0", f"-artifact_prefix={corpus}."]
    if target.tokens:
        words = corpus.with_suffix(".words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.tokens))
        options.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], *options, str(corpus)], partial(_checked, watched), custom_mutator=change)
    atheris.Fuzz()
    return 0


def _escaped(word: bytes) -> str:
    return "".join(chr(each) if 32 < each < 127 and each not in b'"\\' else f"\\x{each:02x}" for each in word)


if __name__ == "__main__":
    sys.exit(main())
