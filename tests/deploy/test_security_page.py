"""The page about security names modules and tests that exist, and `make defences` takes out what each row names."""

import re

from tests.defences import MODULES, defences
from tests.deploy.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text("utf-8")


def rows() -> list[list[str]]:
    """Attack, what stops it, modules and tests."""
    section = PAGE.split("## Attackers")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| Attack ")]
    assert lines
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]


def test_each_row_names_a_module_and_a_test_that_exist() -> None:
    for _, _, modules, tests in rows():
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


def test_what_stops_each_attack_can_be_taken_out() -> None:
    """`make defences` has an entry for each row, each in the words of the program as it is now."""
    entries = defences()
    assert f"({len(entries)} in `tests/defences.toml`" in PAGE
    for each in entries:
        source = (REPOSITORY / MODULES / each.module).read_text("utf-8")
        assert each.removed_from(source) != source
        (named,) = [tests for attack, _, _, tests in rows() if attack.startswith(each.attack)]
        assert set(each.tests) <= set(re.findall(r"`(tests/[^`]+)`", named)), each.attack
    for attack, _, modules, _ in rows():
        taken_out = {each.module for each in entries if attack.startswith(each.attack)}
        assert taken_out & set(re.findall(r"`([^`]+)`", modules)) or (modules == "all" and taken_out), attack
