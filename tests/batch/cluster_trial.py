"""A Ray cluster of several nodes on this machine, and a batch on it from which a worker and a node are taken.

python cluster_trial.py PAIRS.csv OUT.jsonl        prints as JSON what was killed, and the driver's memory
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

SECONDS = 150


def main(pairs: Path, out: Path) -> None:
    from ray.cluster_utils import Cluster

    node_memory = {"memory": 2 << 30, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **node_memory})
    nodes = [cluster.add_node(num_cpus=1, **node_memory) for _ in range(3)]
    command = [Path(sys.executable).with_name("likeness"), "batch", pairs, "--output", out, "--engine", "ray"]
    command += ["--address", cluster.address, "--actors", "2"]
    told: dict[str, Any] = {"nodes": len(nodes) + 1}
    try:
        first = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE)
        wait_for(out, parts=1, process=first)
        first.send_signal(signal.SIGKILL)
        first.wait()
        told["driver killed after parts"] = parts(out)
        driver = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE)
        wait_for(out, parts=parts(out) + 1, process=driver)
        told["workers killed"] = kill_one_worker()
        wait_for(out, parts=parts(out) + 1, process=driver)
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        told["nodes killed"] = 1
        _, said = driver.communicate(timeout=SECONDS)
        told["exit"] = driver.returncode
        told["said"] = said.decode()[-2000:]
    finally:
        cluster.shutdown()
    sys.stdout.write(json.dumps(told) + "\n")


def parts(out: Path) -> int:
    return len(list(out.with_name(f"{out.name}.run").glob("faces/[0-9]*")))


def wait_for(out: Path, *, parts: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while globals()["parts"](out) < parts and process.poll() is None and not out.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{parts} parts of {out} were not written in time")
        time.sleep(0.05)


def kill_one_worker() -> int:
    """Kills a worker process in which an actor describes photos; it is found below this process alone."""
    for process in descendants(os.getpid()):
        try:
            line = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if b"MapWorker" in line:
            os.kill(process, signal.SIGKILL)
            return 1
    return 0


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
    main(Path(sys.argv[1]), Path(sys.argv[2]))
