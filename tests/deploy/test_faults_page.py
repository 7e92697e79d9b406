"""The table of faults in docs/operations.md: each row is a test, and each test of a fault has its row."""

import ast
import re

from tests.deploy.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")


def is_mark(node: ast.expr) -> bool:
    """Whether it is `pytest.mark.fault`."""
    return ast.unparse(node) == "pytest.mark.fault"


def marked_tests() -> set[str]:
    """The tests with the mark `fault`, of their own or of their module."""
    found = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        module = ast.parse(path.read_text("utf-8"))
        whole = any(isinstance(node, ast.Assign) and is_mark(node.value) for node in module.body)
        for node in module.body:
            is_test = isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            if is_test and (whole or any(map(is_mark, node.decorator_list))):
                found.add(f"{path.relative_to(REPOSITORY).as_posix()}::{node.name}")
    return found


def test_each_row_is_a_test_and_each_test_of_a_fault_has_its_row() -> None:
    section = PAGE.split("\n## Faults\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert all(len(row) == 5 and all(cell.strip() for cell in row) for row in rows)
    named = [re.fullmatch(r"`(tests/[\w/]+\.py::test_\w+)`", row[4].strip()) for row in rows]
    assert None not in named
    assert sorted(match[1] for match in named if match) == sorted(marked_tests())
