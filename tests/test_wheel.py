"""The wheel, installed in an empty environment, brings few packages and works."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
#: The base install, Likeness included.
MOST_PACKAGES = 30

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    call([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)])
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "clean", with_pip=False)
    programs = folder / "clean" / ("Scripts" if os.name == "nt" else "bin")
    pip(programs, "install", "--quiet", "--no-compile", str(wheel))  # what is imported is compiled then
    return programs


def pip(programs: Path, *words: str) -> str:
    """Runs the pip of this environment for another one, which is thus spared one of its own."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(programs / "python")]
    return call([*command, *words])


def call(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_base_install_brings_thirty_packages_or_fewer(installed: Path) -> None:
    listed = json.loads(pip(installed, "list", "--format=json"))
    brought = {each["name"].lower() for each in listed}
    assert "likeness" in brought
    assert len(brought) <= MOST_PACKAGES, sorted(brought)


def test_the_installed_command_compares_photos(installed: Path, portraits: dict[str, Path]) -> None:
    photos = [f"fileb://{portraits[name]}" for name in ("obama.jpg", "obama2.jpg")]
    command = [str(installed / "likeness"), "compare-faces", "--source-image-bytes", photos[0]]
    answer = json.loads(call([*command, "--target-image-bytes", photos[1]]))
    assert answer["FaceMatches"][0]["Similarity"] > 80


def test_the_installed_command_serves_no_test_dependency(installed: Path) -> None:
    words = "import likeness.server.app, likeness.cli.serve, likeness.inprocess, likeness.evaluation.report"
    call([str(installed / "python"), "-W", "error", "-c", words])


def test_the_console_is_in_the_wheel(installed: Path) -> None:
    folder = "importlib.resources.files('likeness.server').joinpath('console')"
    words = f"import importlib.resources; print(*(each.name for each in {folder}.iterdir()))"
    found = set(call([str(installed / "python"), "-c", words]).split())
    assert found == {each.name for each in (REPOSITORY / "src" / "likeness" / "server" / "console").iterdir()}
