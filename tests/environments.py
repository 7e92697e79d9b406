"""`make pythons`, `make oldest`, `make newest`: the tests in environments that uv makes in .environments.

    python tests/environments.py pythons [ARGUMENTS]    each Python 3.11 to 3.14 that is present
    python tests/environments.py oldest  [ARGUMENTS]    the direct dependencies at their lower bounds, oldest Python
    python tests/environments.py newest  [ARGUMENTS]    every dependency at its newest, newest Python

The arguments go to pytest; without any the whole suite runs in each environment, a quarter of an hour on two
processors. A Python that is not present is named in the table. The exit status is 0 if no test failed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".environments"
UV = PLACE / "uv" / "bin" / "uv"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OUTCOMES = ("passed", "failed", "skipped")
#: The lower bounds of what pyproject.toml names, and the newest of what these need. Only wheels, but for this project.
OLDEST = ("--resolution", "lowest-direct", "--only-binary", ":all:", "--no-binary", "likeness")


def main(which: str, *arguments: str) -> int:
    if not UV.exists():
        subprocess.run([sys.executable, "-m", "venv", PLACE / "uv"], check=True)
        subprocess.run([PLACE / "uv" / "bin" / "python", "-m", "pip", "install", "--quiet", "uv>=0.8"], check=True)
    present = {version: found for version in PYTHONS if (found := find_python(version))}
    if which == "pythons":
        chosen = {f"Python {version}": (python, ()) for version, python in present.items()}
    elif which == "oldest":
        chosen = {"oldest": (next(iter(present.values())), OLDEST)}
    else:
        chosen = {"newest": (list(present.values())[-1], ("--upgrade",))}

    rows = [f"{'environment':<16}{'Python':<10}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES)]
    failed = False
    for name, (python, options) in chosen.items():
        folder = PLACE / name.removeprefix("Python ")
        make_environment(folder, python)
        install(folder, ".[test]", options)
        if which == "oldest":
            # A test tool may need a newer version than the project; what it then says about versions does not matter.
            install(folder, ".", ("--upgrade", *options))
        if which != "pythons":
            print_direct_dependencies(folder)
        counts = run_tests(folder, arguments)
        failed = failed or counts is None or counts["failed"] > 0
        told = "  the run did not end" if counts is None else "".join(f"{counts[each]:>9}" for each in OUTCOMES)
        rows.append(f"{name:<16}{version_of(folder):<10}{told}")
    if which == "pythons":
        rows += [f"{f'Python {version}':<16}is not present" for version in PYTHONS if version not in present]
    print("\n".join(["", *rows]))
    return int(failed)


def find_python(version: str) -> str | None:
    """An interpreter on the PATH, of uv or of pyenv, whose shims run only the versions that are switched on."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [str(folder) for folder in sorted(pyenv.glob(f"versions/{version}.*/bin"), reverse=True)]
    environment = os.environ | {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
    command = [UV, "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def make_environment(folder: Path, python: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV, "venv", "--quiet", "--no-project", "--seed", "--python", python, folder], check=True)


def install(folder: Path, what: str, options: Sequence[str]) -> None:
    command = [UV, "pip", "install", "--quiet", "--python", folder, *options, "--editable", what]
    subprocess.run(command, cwd=ROOT, check=True)


def version_of(folder: Path) -> str:
    settings = dict(line.split(" = ", 1) for line in (folder / "pyvenv.cfg").read_text("utf-8").splitlines())
    return settings["version_info"]


def print_direct_dependencies(folder: Path) -> None:
    """The versions that the run has of what pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    direct = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    listed = subprocess.run(
        [UV, "pip", "list", "--python", folder, "--format", "json"], capture_output=True, text=True, check=True
    )
    versions = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
    for requirement in direct:
        name = re.split(r"[\[<>=]", requirement)[0].lower()
        print(f"{requirement:<44}{versions[name]}")


def run_tests(folder: Path, arguments: Sequence[str]) -> Counter[str] | None:
    """How many tests passed, failed and were skipped; None if pytest did not get to its end."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [folder / "bin" / "python", "-m", "pytest", "--no-cov", "-q", "-n2", f"--junit-xml={report}", *arguments]
    subprocess.run(command, cwd=ROOT, check=False)
    if not report.exists():
        return None
    counts: Counter[str] = Counter()
    for suite in ElementTree.parse(report).iter("testsuite"):
        failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
        skipped = int(suite.attrib["skipped"])
        counts.update(failed=failed, skipped=skipped, passed=int(suite.attrib["tests"]) - failed - skipped)
    return counts


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
