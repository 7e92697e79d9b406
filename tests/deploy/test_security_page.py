"""The page about security names modules and tests that exist, one for each row."""

import re

from tests.deploy.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text("utf-8")


def test_each_row_names_a_module_and_a_test_that_exist() -> None:
    section = PAGE.split("## Attackers")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| Attack ")]
    rows = [line.strip("|").split(" | ") for line in lines]
    assert rows
    for _, _, modules, tests in rows:
        for module in re.findall(r"`([\w/]+\.py)`", modules):
            assert (REPOSITORY / "src/likeness" / module).exists(), module
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
        assert named, tests
        for path, name in named:
            assert f"def {name}(" in (REPOSITORY / path).read_text("utf-8"), f"{path}::{name}"


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert named
    for path, name in named:
        assert f"def {name}(" in (REPOSITORY / path).read_text("utf-8") if name else (REPOSITORY / path).is_file(), path


def test_its_links_lead_somewhere() -> None:
    for page in (REPOSITORY / "docs" / "security.md", REPOSITORY / "SECURITY.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), link
