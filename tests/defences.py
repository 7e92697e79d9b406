"""Takes each defence of docs/security.md out of a copy of the program, and demands that its tests fail (make defences).

    python tests/defences.py                  every entry of defences.toml
    python tests/defences.py policy Landlock  those whose text has one of these words

An entry whose tests are skipped, cannot be run, or pass on the changed program is a finding: the exit status is 1. The
tests are run on the unchanged program first, where they must pass.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = Path("src", "likeness")
#: For each test: without a defence, it may wait for what no longer happens.
_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Defence:
    """`text` in `module` (below src/likeness) is the defence against `attack`; with `without`, all `tests` fail."""

    attack: str
    module: str
    text: str
    without: str
    tests: tuple[str, ...]

    def removed_from(self, source: str) -> str:
        """The module without the defence. Raises ValueError unless its text is there exactly once."""
        if source.count(self.text) != 1:
            raise ValueError(f"{self.module} has {source.count(self.text)} times: {self.text}")
        return source.replace(self.text, self.without)


def defences() -> list[Defence]:
    """The entries of defences.toml."""
    document = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return [Defence(**entry | {"tests": tuple(entry["tests"])}) for entry in document["defence"]]


def outcomes(tests: Iterable[str], copy: Path) -> dict[str, str]:
    """How each test ended in a copy of the repository: "passed", "failed", or something else."""
    wanted = list(tests)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfEps", "-p", "no:cacheprovider", "--no-cov", *wanted],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        timeout=_SECONDS * len(wanted),
        check=False,
    )
    said = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED) (\S+?)(?=\[| - |$)", run.stdout, re.MULTILINE)
    ends = {test: {end for end, name in said if name == test} for test in wanted}
    return {test: _summary(found) for test, found in ends.items()}


def _summary(ends: set[str]) -> str:
    """That of a test's parameters: it fails with one of them."""
    return next((end.lower() for end in ("FAILED", "ERROR", "PASSED") if end in ends), "not run")


def findings(chosen: Iterable[Defence], copy: Path) -> Iterator[str]:
    """What is wrong, a line for each entry and test; the `copy` of the repository is changed and put back."""
    for defence in chosen:
        place = copy / MODULES / defence.module
        try:
            place.write_text(defence.removed_from(place.read_text("utf-8")), "utf-8")
            ends = outcomes(defence.tests, copy)
        except (ValueError, subprocess.TimeoutExpired) as error:
            yield f"{defence.attack}: {error}"
            continue
        finally:
            # With its time, so that the compiled form of the changed one is not used.
            shutil.copy2(REPOSITORY / MODULES / defence.module, place)
        for test, end in ends.items():
            print(f"{end:8}{defence.module:28}{test}", flush=True)
            if end != "failed":
                yield f"{defence.attack}: without {defence.text!r} in {defence.module}, {test} is {end}"


def main(words: list[str]) -> int:
    """The exit status: 0 if every test fails without its defence, and passes with it."""
    chosen = [each for each in defences() if not words or any(word in repr(each) for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        # Without the environment, whose programs import the package by PYTHONPATH.
        ignored = shutil.ignore_patterns(".*", "shared")
        copy = Path(shutil.copytree(REPOSITORY, Path(folder) / "likeness", ignore=ignored))
        ends = outcomes(dict.fromkeys(test for each in chosen for test in each.tests), copy)
        found = [f"{test} is {end} on the unchanged program" for test, end in ends.items() if end != "passed"]
        found += findings(chosen, copy)
    print(*found, f"{len(chosen)} defences, {len(found)} findings", sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
