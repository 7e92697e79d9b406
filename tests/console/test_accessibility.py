"""axe finds no violations in any colour scheme, size and state of the console."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.aws.keys import create_key

from .conftest import Served
from .page import DESKTOP, PHONE, answered, problem, put

pytestmark = pytest.mark.engine
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's text, fetched by npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core comes by npm")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), "axe-core@^4.10"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"npm does not bring axe-core: {done.stderr.strip()[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("(tags) => axe.run(document, { runOnly: tags }).then((each) => each.violations)", TAGS)
    return [
        f"{each['id']}: {node['html'][:150]} {node['failureSummary'][:200]}" for each in found for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(
    server: Served, open_page: Callable[..., Any], photo_files: dict[str, Path], axe: str, scheme: str, viewport: Any
) -> None:
    page = open_page(server.url, color_scheme=scheme, viewport=viewport)
    assert violations(page, axe) == []
    page.evaluate(
        "document.querySelector('#threshold').parentElement.replaceWith(document.querySelector('#threshold'))"
    )
    assert [each.partition(":")[0] for each in violations(page, axe)] == ["label"]  # axe sees what is wrong
    page.reload()
    put(page, "source", photo_files["person"])
    put(page, "target", photo_files["again"], photo_files["other"])
    page.locator("#many-status", has_text="Done").wait_for()
    put(page, "target", photo_files["again"])
    answered(page)
    assert violations(page, axe) == []
    put(page, "target", photo_files["gif"])
    problem(page)
    assert violations(page, axe) == []


def test_axe_finds_nothing_while_signing_in(
    serve: Callable[..., Served], open_page: Callable[..., Any], axe: str, tmp_path: Path
) -> None:
    create_key(tmp_path / "keys.json", user="console")
    page = open_page(serve("--keys", str(tmp_path / "keys.json")).url)
    page.locator("#sign-in").wait_for()
    assert violations(page, axe) == []
