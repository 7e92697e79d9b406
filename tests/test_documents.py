"""The documents match the code: every command runs, and every table is true."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import grimp
import pytest
from tests.listening import address_of, exit_code

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def make_targets() -> set[str]:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def photos(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the a.jpg and b.jpg of the README."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(portraits["obama.jpg"], folder / "a.jpg")
    shutil.copy(portraits["obama2.jpg"], folder / "b.jpg")
    return folder


@pytest.fixture(scope="module")
def server(standard_pack: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`likeness serve` on a free port; the README's 8080 may be taken."""
    log = tmp_path_factory.mktemp("server") / "stderr"
    with log.open("wb") as stream:
        command = [BIN / "likeness", "serve", "--port", "0", "--auth", "none"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream)
    try:
        yield address_of(process, log)
    finally:
        process.terminate()
        assert exit_code(process, log) == 0


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "AWS_PAGER": ""}
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.engine
def test_the_shell_commands_of_the_readme_run(photos: Path, server: str) -> None:
    ran = 0
    for block in blocks("sh"):
        for command in re.sub(r"\\\n\s*", "", block).splitlines():
            if command.startswith("make "):
                assert command.split()[1] in make_targets()
                continue
            assert '"FaceMatches"' in run(["bash", "-c", command.replace("http://127.0.0.1:8080", server)], photos)
            ran += 1
    assert ran == 2
    assert (photos / "out.png").is_file()


@pytest.mark.engine
def test_the_programs_of_the_readme_run(photos: Path, server: str) -> None:
    programs = blocks("python")
    assert len(programs) == 2
    for program in programs:
        assert run([sys.executable, "-c", program.replace("http://127.0.0.1:8080", server)], photos)


@pytest.mark.engine
def test_the_demo_compares_and_leaves_a_picture(portraits: dict[str, Path]) -> None:
    printed = run([sys.executable, str(REPOSITORY / "examples" / "demo.py")], REPOSITORY)
    assert printed.count('"FaceMatches"') == 2
    assert printed.count("-- took") == 2
    picture = printed.rsplit("The annotated picture: ", 1)[1].strip()
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_the_readme_is_two_screens_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 110
    for link in re.findall(r"\]\(([^)#]+)", README):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link


def test_the_page_of_the_architecture_is_two_screens_and_its_table_is_in_order() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    assert len(page.splitlines()) <= 110
    rows = [re.findall(r"`([a-z_]+)`", line.split("|")[1]) for line in page.splitlines() if line.startswith("| `")]
    place = {name: number for number, row in reversed(list(enumerate(rows))) for name in row}
    graph = grimp.build_graph("likeness")
    parts = {name.split(".")[1] for name in graph.find_descendants("likeness")}
    assert parts <= place.keys()
    # "A package imports only from those above it in this table."
    for module in graph.find_descendants("likeness"):
        for imported in graph.find_modules_directly_imported_by(module) - {"likeness"}:
            assert place[imported.split(".")[1]] <= place[module.split(".")[1]], f"{module} imports {imported}"


def test_the_page_for_contributors_is_one_screen_and_names_what_is_there() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    assert len(page.splitlines()) <= 50
    assert set(re.findall(r"`make ([a-z]+)`", page)) <= make_targets()
    for path in re.findall(r"`((?:src|tests|benchmarks)/[a-z_/]+(?:\.[a-z]+)?)`", page):
        assert (REPOSITORY / path).exists(), path


def test_the_commands_that_run_benchmarks_and_fuzzing_are_those_of_the_files() -> None:
    """A file that imports another of these runs as a module (`python -m`) only; mypy holds the names inside."""
    pages = [REPOSITORY / "Makefile", *REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]
    for folder in ("benchmarks", "fuzz", "src"):
        pages += [*(REPOSITORY / folder).rglob("*.py"), *(REPOSITORY / folder).rglob("*.md")]
    command = re.compile(
        r"python\s+(?:#: )?(-m\s+(?:#: )?(?:benchmarks|fuzz)\.[a-z_]+|benchmarks/[a-z_]+\.py)([^`\n]*)"
    )
    ran = set()
    for page in pages:
        for name, rest in command.findall(page.read_text("utf-8")):
            place = REPOSITORY / name.split()[-1].removesuffix(".py").replace(".", "/")
            source = (place / "__main__.py" if place.is_dir() else place.with_suffix(".py")).read_text("utf-8")
            assert name.startswith("-m") or "\nfrom benchmarks" not in source, f"{page}: python {name}"
            for option in re.findall(r"--[a-z-]+", rest):
                assert f'"{option}"' in source, f"{page}: python {name} {option}"
            ran.add(place.name)
    assert len(ran) > 20


def test_the_changelog_names_the_version_in_the_usual_form() -> None:
    page = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[(.+?)\]", page, flags=re.MULTILINE)
    assert versions[0] == "Unreleased"
    for heading in re.findall(r"^## \[[0-9].*$", page, flags=re.MULTILINE):
        assert re.fullmatch(r"## \[[0-9.]+\] - \d{4}-\d\d-\d\d", heading)
    assert versions[1] == tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    kinds = set(re.findall(r"^### (.+)$", page, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_table_of_load_is_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    load = import_module("benchmarks.load.__main__")
    rows = load.kept()
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    assert load.table(rows) in page
    assert load.distinguishable(rows).total() >= 100_000
    assert [row["wrong"] or row["unanswered"] for row in rows.values() if row["wrong"] or row["unanswered"]] == []
    # How long an answer takes is up to the machine, so a miss is told on the page; a share below its limit is not one.
    missed = [each for row in rows.values() for each in load.misses(row)]
    assert all(each.startswith("p99 ") and each in page for each in missed)


def test_the_page_about_security_says_what_was_fuzzed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    targets = import_module("fuzz.target").names()
    runs = json.loads((REPOSITORY / "benchmarks" / "results" / "fuzz.json").read_text("utf-8"))
    page = " ".join((REPOSITORY / "docs" / "security.md").read_text("utf-8").split())
    claim = re.search(r"at commit (\w+) ran for 150 seconds, (\d+) minutes in all, with ([\d.]+) million inputs", page)
    assert claim is not None
    hour = [run for run in runs if run["commit"] == claim[1]]
    assert int(sum(run["seconds"] for run in hour) / 60) == int(claim[2]) >= 60
    assert f"{sum(run['inputs'] for run in hour) / 1e6:.1f}" == claim[3]
    assert all(run["seconds"] >= 150 for run in hour)
    assert {run["target"] for run in runs} == set(targets)
    assert [run for run in runs if run["findings"]] == []


def test_the_speed_of_the_readme_is_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    record = import_module("benchmarks.speed.results").Results.open(
        REPOSITORY / "benchmarks" / "results" / "speed.json", resume=True
    )
    claim = re.search(
        r"On two cores with AVX-512, without a GPU, a pair of 1280×886 photos takes (\d+) ms and a crowd of 100 faces "
        r"(\d\.\d) seconds; face_recognition takes (\d+) times as long for the pair\.",
        " ".join(README.split()),
    )
    assert claim is not None
    assert record.machine["processors"] == 2
    assert "avx512f" in record.machine["instructions"]
    assert f"{1000 * record.median_s('1280x886', 'likeness'):.0f}" == claim[1]
    assert f"{record.median_s('group-100', 'likeness'):.1f}" == claim[2]
    assert f"{record.ratio('1280x886', 'face_recognition', 'likeness'):.0f}" == claim[3]


def test_the_page_of_operation_promises_no_less_memory_than_was_measured() -> None:
    recorded = json.loads((REPOSITORY / "benchmarks" / "results" / "soak.json").read_text("utf-8"))["runs"]
    runs = [run for run in recorded if run["requests"] == 50_000]
    assert not any(run["wrong"] for run in recorded)
    page = " ".join((REPOSITORY / "docs" / "operations.md").read_text("utf-8").split())
    promised = re.search(
        r"over 50,000 mixed requests, .* the server kept (\d+) to (\d+) MB .* "
        r"and grew over the second half by at most ([\d.]+) % .*; (\w+) runs of 29 November 2026",
        page,
    )
    assert promised is not None
    measured = [memory_mb for run in runs for memory_mb in run["observed_mb"]]
    assert (int(promised[1]), int(promised[2])) == (math.floor(min(measured)), math.ceil(max(measured)))
    assert max(run["growth_percent"] for run in runs) <= float(promised[3])
    assert {run["ended"].split()[0] for run in runs} == {"2026-11-29"}
    assert len(runs) == ("one", "two", "three", "four", "five").index(promised[4]) + 1
    said = re.search(
        r"Of the requests ([\d,]+) are compared, ([\d,]+) refused, and ([\d,]+) \((\d+) %\) are GETs", page
    )
    assert said is not None
    for run in runs:
        of_monitoring = run["statuses"]["monitoring: 200"]
        by_status = Counter[str]()
        for kind, count in run["statuses"].items():
            by_status[kind.split(": ")[1]] += count
        assert [int(each.replace(",", "")) for each in said.groups()] == [
            by_status["200"] - of_monitoring,
            by_status["400"],
            of_monitoring,
            round(100 * of_monitoring / 50_000),
        ]


def test_every_direct_dependency_is_named_with_its_reason() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    direct = {re.split(r"[<>=\[; ]", line, maxsplit=1)[0] for line in project["dependencies"]}
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    named = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page.split("## Direct dependencies")[1], re.MULTILINE))
    assert set(named) == direct
    assert all(len(reason) > 5 for reason in named.values())


def test_the_packages_of_the_architecture_page_are_those_of_the_code() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    table = page.split("## Packages")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE))))
    packages = {
        each.stem
        for each in (REPOSITORY / "src" / "likeness").iterdir()
        if not each.name.startswith(("_", ".")) and each.name != "py.typed"
    }
    assert named == packages
