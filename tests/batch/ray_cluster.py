"""A Ray cluster of several nodes on this machine, and a batch on it whose driver, workers and nodes are killed.

Run as a program it is the cluster: it prints its address, kills a node and adds another for each line that it reads,
and ends with its standard input.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

NODES = 2
SECONDS = 280
#: What lines of the program begin with.
ANSWER = "cluster: "


class RayCluster:
    """A head without processors and nodes of one processor each, which have `more` variables in their environment."""

    def __init__(self, more: dict[str, str]) -> None:
        environment = {**os.environ, **more, "RAY_USAGE_STATS_ENABLED": "0"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, __file__], env=environment, stdin=pipe, stdout=pipe, text=True)
        self.address = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.communicate(timeout=SECONDS)

    def replace_node(self) -> None:
        """Kills a node; another takes its place."""
        assert self.process.stdin is not None
        self.process.stdin.write("replace\n")
        self.process.stdin.flush()
        assert self._answer() == "replaced"

    def kill_worker(self) -> bool:
        """Kills a worker process in which an actor works, if there is one."""
        for process in descendants(self.process.pid):
            try:
                line = Path(f"/proc/{process}/cmdline").read_bytes()
            except OSError:
                continue
            if b"MapWorker" in line:
                os.kill(process, signal.SIGKILL)
                return True
        return False

    def _answer(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # Ray may write here, too
            if line.startswith(ANSWER):
                return line.removeprefix(ANSWER).strip()
        raise AssertionError("the cluster has ended")


class Trial:
    """A batch on a cluster, killed `kills` times, and begun again where its driver is.

    Up to three kills are one of each kind, in the middle of the work; more come at random moments.
    """

    def __init__(self, cluster: RayCluster, pairs: Path, out: Path) -> None:
        self._cluster, self._out = cluster, out
        command = [Path(sys.executable).with_name("likeness"), "batch", pairs, "--output", out, "--engine", "ray"]
        self._command = [str(word) for word in (*command, "--address", cluster.address, "--actors", "2")]
        self._kinds = {"driver": self._kill_driver, "worker": cluster.kill_worker, "node": self._kill_node}
        self.killed = dict.fromkeys(self._kinds, 0)
        self.failed_runs = 0
        self.said = ""
        self._start()

    def run(self, kills: int) -> None:
        """Kills, and waits for the batch to end well."""
        chance = random.Random(kills)
        while sum(self.killed.values()) < kills:
            if kills <= len(self._kinds):
                self._wait_for_another_part()
                kind = next(kind for kind in self._kinds if not self.killed[kind])
            else:
                time.sleep(chance.uniform(0.5, 8.0))
                kind = chance.choice(list(self._kinds))
            if self._driver.poll() is None:
                self.killed[kind] += self._kinds[kind]()
            else:
                self._begin_anew()
        self._end()
        assert self._driver.returncode == 0, self.said

    def _start(self) -> None:
        self._driver = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)

    def _end(self) -> None:
        self.said += self._driver.communicate(timeout=SECONDS)[1]

    def _kill_driver(self) -> bool:
        self._driver.send_signal(signal.SIGKILL)
        self._end()
        self._start()
        return True

    def _kill_node(self) -> bool:
        self._cluster.replace_node()
        return True

    def _begin_anew(self) -> None:
        """Starts the command again; from the beginning where it had finished."""
        self._end()
        if self._driver.returncode == 0:
            shutil.rmtree(self._out.with_name(f"{self._out.name}.run"))
            self._out.unlink()
        else:
            self.failed_runs += 1
        self._start()

    def _wait_for_another_part(self) -> None:
        deadline, before = time.monotonic() + SECONDS, self._parts()
        while self._parts() <= before and self._driver.poll() is None and not self._out.exists():
            assert time.monotonic() < deadline, f"no further part of {self._out} was written in time"
            time.sleep(0.05)

    def _parts(self) -> int:
        return len(list(self._out.with_name(f"{self._out.name}.run").glob("faces/[0-9]*")))


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


def main() -> None:
    from ray.cluster_utils import Cluster

    memory = {"memory": 2 << 30, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
    nodes = [cluster.add_node(num_cpus=1, **memory) for _ in range(NODES)]
    print(f"{ANSWER}{cluster.address}", flush=True)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(0), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1, **memory))
        print(f"{ANSWER}replaced", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
