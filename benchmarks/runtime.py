"""Measures the settings of ONNX Runtime's sessions in `likeness.runtime.sessions`: `python benchmarks/runtime.py`.

Each case runs in a separate process: the time to open a network, optimised anew or as saved; processor time and memory
of a detection with threads that spin or sleep and with memory patterns on or off; the gain of memory patterns for
networks with one input size; memory after many comparisons, with one arena or several; and the memory that
`Comparer.reserve_memory` takes.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest import mock

import cv2
import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

from likeness import Comparer, packs
from likeness.errors import RequestError
from likeness.runtime import sessions
from likeness.runtime.sessions import Runtime
from likeness.server import memory

#: Heights and widths at which photos of different shapes are searched.
SIZES_PX = ((480, 640), (544, 960), (960, 544), (736, 736), (320, 480), (544, 800), (64, 64), (640, 640))
#: The number of comparisons, each of photos of another size.
MIXED_PHOTOS = 200


def milliseconds(work: Callable[[], object], rounds: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The median time of `work`."""
    times = []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return median(times) * 1e3


def resident_mb() -> float:
    """Resident memory of this process in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def opening(role: str) -> dict[str, float]:
    """Processor milliseconds to open the network of a role: optimised anew, and from the saved optimised file."""
    manifest = packs.load("standard").manifest
    file = manifest.files[manifest.role(role).file]
    path = manifest.path(file.name)
    with TemporaryDirectory() as folder:
        saving = Runtime(threads=1, optimised=Path(folder))
        saving.open(path, file.sha256)
        return {
            "anew": milliseconds(lambda: Runtime(threads=1).open(path, file.sha256), 15, time.process_time),
            "saved": milliseconds(lambda: saving.open(path, file.sha256), 15, time.process_time),
        }


def detecting(spin: bool, pattern: bool, arena: bool) -> dict[str, float]:
    """Wall and processor milliseconds of a detection at 640×480, and megabytes after photos of many shapes."""
    manifest = packs.load("standard").manifest
    options = Runtime(threads=2)._options()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.enable_mem_pattern, options.enable_cpu_mem_arena = pattern, arena
    path = manifest.path(manifest.role("detector").file)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    random = np.random.default_rng(0)

    def run(height: int, width: int) -> None:
        session.run(None, {name: random.integers(0, 256, (1, height, width, 3), dtype=np.uint8)})

    run(480, 640)
    before = resident_mb()
    rounds, cpu = 40, time.process_time()
    wall = milliseconds(lambda: run(480, 640), rounds)
    cpu = (time.process_time() - cpu) / rounds * 1e3
    for height, width in SIZES_PX * 3:
        run(height, width)
    return {"wall": wall, "cpu": cpu, "mb_one_size": before, "mb_many_sizes": resident_mb()}


def planning(role: str) -> dict[str, float]:
    """Milliseconds of a network with one input size, with and without memory patterns, interleaved."""
    manifest = packs.load("standard").manifest
    file = manifest.files[manifest.role(role).file]
    networks = {
        words: Runtime(threads=1, one_size=planned).open(manifest.path(file.name), file.sha256)
        for words, planned in (("as needed", False), ("planned", True))
    }
    shape = [side if isinstance(side, int) else 1 for side in networks["planned"].input_shapes[0]]
    values = np.random.default_rng(0).integers(0, 256, shape)
    takes_bytes = networks["planned"].takes_bytes
    picture = values.astype(np.uint8) if takes_bytes else values.astype(np.float32)
    times: dict[str, list[float]] = {words: [] for words in networks}
    for _ in range(40):
        for words, network in networks.items():
            times[words].append(milliseconds(partial(network, picture), 10))
    return {words: median(taken) for words, taken in times.items()}


def comparing(shared: bool) -> dict[str, float]:
    """Resident megabytes after two threads have compared photos of many shapes, with one arena for all networks or one
    each.
    """
    memory.configure()  # as in the server
    portrait = cv2.imread(str(packs.samples()["obama.jpg"]))
    assert portrait is not None
    random = np.random.default_rng(0)
    sizes_px = random.integers(200, 2400, (MIXED_PHOTOS, 2)).tolist()

    def compare(size_px: tuple[int, int]) -> None:
        photo = np.ascontiguousarray(cv2.resize(portrait, size_px, interpolation=cv2.INTER_AREA)[..., ::-1], np.uint8)
        with suppress(RequestError):
            comparer.compare(photo, photo)

    with nullcontext() if shared else mock.patch.object(sessions, "_share_arena"), Comparer() as comparer:
        comparer.warm_up()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(compare, sizes_px))
        memory.trim()
        return {"mb": resident_mb()}


def reserving() -> dict[str, float]:
    """Megabytes that the search of `Comparer.reserve_memory` adds to a process that is ready."""
    with Comparer() as comparer:
        comparer.warm_up()
        before = resident_mb()
        comparer.reserve_memory()
        return {"mb": resident_mb() - before}


CASES: dict[str, Callable[..., dict[str, float]]] = {
    "opening": opening,
    "detecting": detecting,
    "planning": planning,
    "comparing": comparing,
    "reserving": reserving,
}


def in_own_process(case: str, *arguments: object) -> dict[str, float]:
    """Runs a case in a new process and returns its result."""
    command = [sys.executable, __file__, case, json.dumps(arguments)]
    measured: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return measured


def main() -> None:
    """Prints all tables."""
    console = Console()
    table = Table("Network", "Optimised anew, processor ms", "As saved, processor ms")
    for role in ("detector", "embedder", "mesh", "expression"):
        times = in_own_process("opening", role)
        table.add_row(role, f"{times['anew']:.1f}", f"{times['saved']:.1f}")
    console.print(table)
    table = Table("Network", "Memory as needed, ms", "Memory planned, ms")
    for role in ("embedder", "mesh", "expression"):
        times = in_own_process("planning", role)
        table.add_row(role, f"{times['as needed']:.2f}", f"{times['planned']:.2f}")
    console.print(table)
    table = Table("Threads", "Memory", "Wall, ms", "Processor, ms", "MB, one size", "MB, many sizes")
    for spin in (False, True):
        for pattern, arena, words in (
            (False, True, "arena"),
            (True, True, "arena and pattern"),
            (False, False, "neither"),
        ):
            row = in_own_process("detecting", spin, pattern, arena)
            figures = (f"{row[key]:.0f}" for key in ("wall", "cpu", "mb_one_size", "mb_many_sizes"))
            table.add_row("spin" if spin else "sleep", words, *figures)
    console.print(table)
    for shared, words in ((True, "one arena for all networks"), (False, "an arena for each network")):
        mb = in_own_process("comparing", shared)["mb"]
        console.print(f"{words}: {mb:.0f} MB after {MIXED_PHOTOS} comparisons of photos of many shapes")
    console.print(f"reserving memory takes {in_own_process('reserving')['mb']:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(CASES[sys.argv[1]](*json.loads(sys.argv[2]))))
    else:
        main()
