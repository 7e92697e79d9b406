"""docs/migrating.md matches the code: its policy loads, its settings exist, each decision has its row."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from likeness.aws.policy import Policy
from likeness.server.settings import S3Settings, Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "migrating.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


def test_the_policy_on_the_page_is_valid(page: str) -> None:
    (policy,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert len(Policy.load(json.loads(policy)).statements) == 2


def test_every_decision_has_its_row_and_every_setting_exists(page: str) -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*)\|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 21))
    known = {each.name for kind in (Settings, S3Settings) for each in fields(kind)} | {"[s3]"}
    named = [re.sub(r" =.*", "", name) for _, cell in rows for name in re.findall("`([^`]+)`", cell)]
    assert len(named) > 10
    assert set(named) <= known
