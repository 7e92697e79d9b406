"""Fuzzes each target in a process of its own for some time, and prints what was tried.

    python -m fuzz.run [TARGET...] [--seconds 60] [--record FILE]

A finding (an error that the target does not document, a crash, more than 2 s of processor time or of waiting, 500 MB,
for one input) stays in the folder of --findings, and the command exits with 1. With --record, the figures are appended
to FILE, with the code and the time that they are of.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from fuzz import target as targets
from fuzz.formats import in_memory
from fuzz.watched import MOST_BYTES, MOST_SECONDS, State, save
from fuzz.worker import ANOTHER_PROCESS

_POLL_SECONDS = 0.1
#: How long an input may wait for something else than a processor.
_MOST_WAITING_SECONDS = 2.0
#: What a process may take to begin.
_START_SECONDS = 120.0
_COVERED = re.compile(r"cov: (\d+)")


@dataclass
class Row:
    """What was tried of one target. Seconds are wall time; memory is the growth of the peak over the start."""

    target: str
    seconds: float = 0.0
    inputs: int = 0
    edges: int = 0
    findings: int = 0
    slowest_ms: float = 0.0
    growth_mb: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help=f"all without any: {', '.join(targets.names())}")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    unknown = set(options.targets) - set(targets.names())
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(targets.names())}")
    seed = options.seed or random.randrange(1, 1 << 31)
    print(f"seed {seed}, {options.seconds:g} s for each target")
    print(_line(*(each.name for each in fields(Row))), flush=True)
    rows = []
    for name in options.targets or targets.names():
        rows.append(fuzz(name, options.seconds, seed, options.findings))
        print(_line(*asdict(rows[-1]).values()), flush=True)
        if options.record:
            record(options.record, rows[-1], seed)
    return 1 if any(row.findings for row in rows) else 0


def fuzz(name: str, seconds: float, seed: int, findings: Path) -> Row:
    """Runs one target; another process goes on where one is lost."""
    row = Row(name)
    started = time.monotonic()
    before = len(_found(findings, name))
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        state = State(Path(folder) / "state")
        while (left := seconds - (time.monotonic() - started)) > 1:
            _watch(left, seed, findings, row, state)
            seed += 1
        row.inputs, slowest, *_ = state.read()
        row.slowest_ms = round(1000 * slowest, 1)
    row.seconds = round(time.monotonic() - started, 1)
    row.findings = len(_found(findings, name)) - before
    return row


def _watch(seconds: float, seed: int, findings: Path, row: Row, state: State) -> None:
    """One process, until it ends or must be ended. Its log and its files are beside those of `state`."""
    name, folder = row.target, state.path.parent
    log = folder / "log"
    inputs_before = state.read()[0]
    command = [sys.executable, "-m", "fuzz.worker", name, "--seconds", str(seconds), "--seed", str(seed)]
    command += ["--state", str(state.path), "--findings", str(findings)]
    with log.open("wb") as file:
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        cause = _cause_to_end(process, state, row, seconds)
        if cause:
            process.send_signal(signal.SIGKILL)
        code = process.wait()
    said = log.read_text("utf-8", "replace")
    row.edges = max([row.edges, *map(int, _COVERED.findall(said))])
    inputs, slowest, peak, began, data = state.read()
    if code and inputs == inputs_before and not began:
        raise SystemExit(f"{name} does not start:\n{said[-2000:]}")
    if cause or code not in (0, ANOTHER_PROCESS):
        how = cause or (signal.Signals(-code).name if code < 0 else f"exit code {code}")
        save(findings, name, how, said[-20_000:], data)
        state.end(inputs + 1, slowest, peak)


def _cause_to_end(process: "subprocess.Popen[bytes]", state: State, row: Row, seconds: float) -> str:
    """Waits for the end of a process; why it must be ended, empty if it ended by itself."""
    first = _memory(process.pid)
    until = time.monotonic() + seconds + _START_SECONDS
    current, waiting = -1, Waiting(process.pid)
    while process.poll() is None:
        time.sleep(_POLL_SECONDS)
        inputs, _, _, began, _ = state.read()
        waiting.look()
        if inputs != current or not began:
            current, waiting.seconds = inputs, 0.0
            first = first if inputs > 1 else _memory(process.pid)
        memory = _memory(process.pid)
        row.growth_mb = max(row.growth_mb, round((memory - first) / 1e6, 1))
        # Twice what is a finding, which the process reports itself when the input is done.
        if began and _processor_seconds(process.pid) - began > 2 * MOST_SECONDS + _POLL_SECONDS:
            return f"more than {2 * MOST_SECONDS:g} s of processor time"
        if began and waiting.seconds > _MOST_WAITING_SECONDS:
            return f"waits for more than {_MOST_WAITING_SECONDS:g} s"
        if memory - first > 2 * MOST_BYTES:
            return f"memory grew by {(memory - first) >> 20} MB"
        if time.monotonic() > until:
            return "the process did not end in time"
    return ""


class Waiting:
    """For how many `seconds` a process and its children have neither run nor lacked a processor that others use."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.seconds = 0.0
        self._busy, self._at = _busy_seconds(pid), time.monotonic()

    def look(self) -> None:
        """Adds the time since the last look, but for that in which something ran."""
        busy, at = _busy_seconds(self._pid), time.monotonic()
        # What a thread has waited for a processor is known when it gets it, and what a child used is lost when it ends.
        self.seconds = max(0.0, self.seconds + (at - self._at) - max(0.0, busy - self._busy))
        self._busy, self._at = busy, at


def _busy_seconds(pid: int) -> float:
    """What all threads of a process and its children ran, and waited for a processor, together."""
    seconds = 0.0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                ran, waited, *_ = (task / "schedstat").read_text().split()
                seconds += (int(ran) + int(waited)) / 1e9
                seconds += sum(map(_busy_seconds, map(int, (task / "children").read_text().split())))
    return seconds


def _memory(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _processor_seconds(pid: int) -> float:
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def _found(findings: Path, name: str) -> list[Path]:
    return list(findings.glob(f"{name}-*.txt"))


def _line(*cells: object) -> str:
    widths = (20, 9, 10, 8, 9, 11, 10)
    return "".join(str(cell).ljust(width) for cell, width in zip(cells, widths, strict=True))


def record(path: Path, row: Row, seed: int) -> None:
    """Appends a row to the record, a JSON file with one object for each run of a target, whatever it found."""
    known = json.loads(path.read_text()) if path.exists() else []
    made = {
        "ended": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "seed": seed,
        "python": platform.python_version(),
        "atheris": metadata.version("atheris") if find_spec("atheris") else "",
    }
    known.append(asdict(row) | made)
    lines = ",\n".join(f"  {json.dumps(each)}" for each in known)
    path.write_text(f"[\n{lines}\n]\n")


def _commit() -> str:
    """That of the code, with "+" where files differ from it; empty outside a repository."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=7",
        "--dirty=+",
        "--exclude=*",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
