"""The thread budget: affinity and cgroup quotas of both versions, on simulated trees."""

import os
import sys
import threading
from pathlib import Path

import pytest

from likeness.system.processors import thread_budget, yield_processors, yields_processors


@pytest.fixture(autouse=True)
def _eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def budget(tmp_path: Path, process: str, files: dict[str, str]) -> int:
    write(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(process)
    return thread_budget(cgroup_root=tmp_path / "cgroup", cgroup_of_process=tmp_path / "self")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("100000 100000", 1),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("-1 100000", 8),
        ("0 0", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
def test_version_2_in_a_container(tmp_path: Path, quota: str, expected: int) -> None:
    assert budget(tmp_path, "0::/\n", {"cpu.max": f"{quota}\n"}) == expected


def test_version_2_the_tightest_of_all_parents_counts(tmp_path: Path) -> None:
    files = {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n", "a/b/c/cpu.max": "500000 100000\n"}
    assert budget(tmp_path, "0::/a/b/c\n", files) == 3


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 8), ("50000", 1)])
def test_version_1(tmp_path: Path, mount: str, quota: str, expected: int) -> None:
    folder = f"{mount}/docker/abc"
    files = {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    process = "3:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"
    assert budget(tmp_path, process, files) == expected


def test_version_1_in_a_container_whose_path_is_not_mounted(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}
    assert budget(tmp_path, "2:cpu,cpuacct:/docker/elsewhere\n", files) == 4


def test_quotas_of_other_groups_do_not_count(tmp_path: Path) -> None:
    assert budget(tmp_path, "0::/mine\n", {"mine/cpu.max": "max 1\n", "other/cpu.max": "100000 100000\n"}) == 8


def test_a_path_that_leads_upwards_stays_inside(tmp_path: Path) -> None:
    write(tmp_path, {"cpu.max": "100000 100000\n"})
    assert budget(tmp_path, "0::/../..\n", {"cpu.max": "max 100000\n"}) == 8


def test_without_cgroups_it_is_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert thread_budget(cgroup_root=tmp_path / "none", cgroup_of_process=tmp_path / "none") == 1


def test_the_thread_budget_is_between_one_and_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= thread_budget() <= (os.cpu_count() or 1)


def test_a_thread_that_yields_the_processors_leaves_the_others_as_they_are() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if sys.platform == "linux" else 0

    seen: list[tuple[bool, int]] = []

    def work() -> None:
        yield_processors()
        seen.append((yields_processors(), priority()))

    before = priority()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(True, min(19, before + 10) if sys.platform == "linux" else 0)]
    assert (yields_processors(), priority()) == (False, before)
