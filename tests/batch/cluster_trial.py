"""A Ray cluster of several nodes on this machine, and a batch on it whose driver, workers and nodes are killed.

python cluster_trial.py PAIRS.csv OUT.jsonl KILLS        prints as JSON what was killed

Up to three kills are one of each, in the middle of the work; more come at random moments.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

SECONDS = 280


class Trial:
    """A cluster of a head and three nodes, a batch on it, and what can be killed."""

    def __init__(self, pairs: Path, out: Path) -> None:
        from ray.cluster_utils import Cluster

        self._memory = {"memory": 2 << 30, "object_store_memory": 100 << 20}
        head = {"num_cpus": 0, "include_dashboard": False, **self._memory}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes = [self.cluster.add_node(num_cpus=1, **self._memory) for _ in range(3)]
        command = [Path(sys.executable).with_name("likeness"), "batch", pairs, "--output", out, "--engine", "ray"]
        self._command = [str(word) for word in (*command, "--address", self.cluster.address, "--actors", "2")]
        self.start()

    def start(self) -> None:
        self.driver = subprocess.Popen(self._command, stderr=subprocess.PIPE)

    def kill_driver(self) -> bool:
        self.driver.send_signal(signal.SIGKILL)
        self.driver.communicate()
        self.start()
        return True

    def kill_worker(self) -> bool:
        """Kills a worker process in which an actor works; it is found below this process alone."""
        for process in descendants(os.getpid()):
            try:
                line = Path(f"/proc/{process}/cmdline").read_bytes()
            except OSError:
                continue
            if b"MapWorker" in line:
                os.kill(process, signal.SIGKILL)
                return True
        return False

    def kill_node(self) -> bool:
        """Kills a node; another takes its place."""
        self.cluster.remove_node(self._nodes.pop(0), allow_graceful=False)
        self._nodes.append(self.cluster.add_node(num_cpus=1, **self._memory))
        return True


def main(pairs: Path, out: Path, kills: int) -> None:
    trial = Trial(pairs, out)
    told: dict[str, Any] = {"driver": 0, "worker": 0, "node": 0, "runs": 1, "failed runs": 0}
    kinds = {"driver": trial.kill_driver, "worker": trial.kill_worker, "node": trial.kill_node}
    chance = random.Random(kills)
    try:
        while sum(told[kind] for kind in kinds) < kills:
            if kills <= len(kinds):  # one of each, in the middle of the work
                wait_for(out, parts=parts(out) + 1, process=trial.driver)
                kind = next(kind for kind in kinds if not told[kind])
            else:
                time.sleep(chance.uniform(0.5, 8.0))
                kind = chance.choice(list(kinds))
            if trial.driver.poll() is not None:
                told["failed runs"] += trial.driver.returncode != 0
                told["runs"] += 1
                begin_anew(out, trial)
                continue
            told[kind] += kinds[kind]()
        _, said = trial.driver.communicate(timeout=SECONDS)
        told |= {"exit": trial.driver.returncode, "said": said.decode()[-2000:]}
    finally:
        trial.cluster.shutdown()
    sys.stdout.write(json.dumps(told) + "\n")


def begin_anew(out: Path, trial: Trial) -> None:
    """Starts the command again; from the beginning where it had finished."""
    trial.driver.communicate()
    if trial.driver.returncode == 0:
        shutil.rmtree(out.with_name(f"{out.name}.run"))
        out.unlink()
    trial.start()


def parts(out: Path) -> int:
    return len(list(out.with_name(f"{out.name}.run").glob("faces/[0-9]*")))


def wait_for(out: Path, *, parts: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while globals()["parts"](out) < parts and process.poll() is None and not out.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{parts} parts of {out} were not written in time")
        time.sleep(0.05)


def descendants(parent: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [parent]
    while waiting:
        current = waiting.pop()
        found += children.get(current, [])
        waiting += children.get(current, [])
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
