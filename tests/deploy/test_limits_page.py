"""The table of limits in docs/operations.md names every setting that is one."""

import re

from tests.deploy.conftest import REPOSITORY

from likeness.server.configuration import SETTINGS

PAGE = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables of a section, without their headings."""
    section = re.split(r"\n##+ ", PAGE.split(f"\n{heading}\n")[1])[0]
    return [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]


def test_every_setting_that_limits_is_in_the_table_of_limits() -> None:
    of_capacity = {row[0].strip(" `") for row in rows("### Capacity limits")}
    assert "threads" in of_capacity <= SETTINGS.keys()
    by_name = {name for name in SETTINGS if re.search(r"\b(max|min)_|_bytes$|_timeout_|\battempts$|_skew_", name)}
    assert {"max_faces", "min_side_px", "packs_memory_bytes", "s3.attempts", "s3.read_timeout_seconds"} <= by_name
    table = rows("## What each limit protects")
    assert all(len(row) == 5 and all(cell.strip() for cell in row) for row in table)
    named = {name for row in table for name in re.findall(r"`([\w.]+)`", row[0])}
    assert (of_capacity | by_name) - named == set()
