"""The record of `make soak`: no run is dropped from it, and each says of which code it is."""

import re
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(REPOSITORY)
    return import_module("benchmarks.speed.soak")


def test_no_run_is_dropped_whatever_followed(soak: Any, tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    missed = {"requests": 50, "wrong": 1, "end_mb": 214.123456}
    others = [{"requests": count, "wrong": 0, "end_mb": 200.0} for count in (50, 50, 10, 50)]
    returned = [soak.record(path, run) for run in (missed, *others)]
    assert soak.runs_in(path) == [missed | {"end_mb": 214.12}, *others]
    assert [len(runs) for runs in returned] == [1, 2, 3, 1, 4]


def test_a_run_names_its_commit(soak: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # A checkout without its repository, as a source distribution is, has none.
    assert re.fullmatch("[0-9a-f]{40}|unknown", soak.commit())

    def fail(command: list[str], **_: Any) -> Any:
        raise subprocess.CalledProcessError(128, command)

    monkeypatch.setattr(subprocess, "run", fail)
    assert soak.commit() == "unknown"
