"""The number of processors available to this process, from its affinity and cgroup quota; threads that yield them."""

import math
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_CGROUP_OF_PROCESS = Path("/proc/self/cgroup")
#: How much nicer a yielding thread is: it gets a tenth of the time of an ordinary one that wants the same processor.
_NICENESS = 10
_of_thread = threading.local()


def yield_processors() -> None:
    """Makes the calling thread, and those that it starts, run after ordinary ones, for good. On Linux."""
    _of_thread.yields = True
    if sys.platform == "linux":  # elsewhere priorities are those of processes
        with suppress(OSError):  # a sandbox may forbid it
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)


def yields_processors() -> bool:
    """Whether the calling thread has called `yield_processors`."""
    return getattr(_of_thread, "yields", False)


def thread_budget(*, cgroup_root: Path = _CGROUP_ROOT, cgroup_of_process: Path = _CGROUP_OF_PROCESS) -> int:
    """The number of processors that the process may use, 1 or more.

    The smaller of the affinity mask and the CPU quotas of the process's cgroup and its ancestors (version 2:
    `cpu.max`, version 1: `cpu.cfs_quota_us` / `cpu.cfs_period_us`), rounded up. Source: Linux kernel,
    Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst.
    """
    count = _allowed_processors()
    quota = _quota(cgroup_root, cgroup_of_process)
    return max(1, min(count, math.ceil(quota - 1e-9)) if quota is not None else count)


def _allowed_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path, of_process: Path) -> float | None:
    """The lowest CPU quota in processors, None without one."""
    quotas = [quota for folder in _folders(root, of_process) if (quota := _quota_in(folder)) is not None]
    return min(quotas, default=None)


def _folders(root: Path, of_process: Path) -> list[Path]:
    """The folders of the process's cgroup and its ancestors; the root too, as in a container the path may not exist."""
    folders = [root, root / "cpu", root / "cpu,cpuacct"]
    for line in _lines(of_process):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        bases = (
            [root] if not controllers else [root / controllers, root / "cpu"] if "cpu" in controllers.split(",") else []
        )
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        folders += [base.joinpath(*parts[:depth]) for base in bases for depth in range(1, len(parts) + 1)]
    return folders


def _quota_in(folder: Path) -> float | None:
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        return _ratio(quota, period)
    quotas, periods = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return _ratio(quotas[0], periods[0]) if quotas and periods else None


def _ratio(quota: str, period: str) -> float | None:
    """quota / period; None for "max", -1 and anything else but a positive number."""
    try:
        value = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
