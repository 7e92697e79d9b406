"""What a device gives at each batch size: `python benchmarks/devices.py [--device cuda] [--pack standard]`.

Embeds the faces of the sample portraits in batches of 1 to 256 pairs on the device and prints pairs a second, memory,
and how far the vectors agree with the processor's. Then as many threads as requests at once embed a pair at a time,
with their runs joined (`likeness.runtime.batching`) and not joined. On cpu the processor stands in for a GPU.
"""

import argparse
import itertools
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from likeness.authoring.portraits import main_face, sample_portraits
from likeness.engine import Engine
from likeness.pipeline import search
from likeness.runtime import devices
from likeness.runtime.devices import PROVIDERS, Device, Provider
from likeness.settings import ComparerSettings
from likeness.vision.face import measure_face

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REQUESTS = (1, 4, 16, 64)
#: A figure is the best of so many rounds, each of at least so many seconds.
ROUNDS, ROUND_SECONDS = 3, 0.5

Views = NDArray[np.uint8]


def engine_on(device: Device, pack: str, *, joins: bool) -> Engine:
    """The pack on a device, with the runs of threads joined or not; on the processor through the same seam."""
    used, known = (device, PROVIDERS[device]) if device != "cpu" else ("cuda", Provider("CPUExecutionProvider", "", {}))
    with mock.patch.object(devices, "PROVIDERS", {used: replace(known, joins=joins)}):
        engine = Engine(pack, ComparerSettings(device=used, uncalibrated=True))
        engine.warm_up()
    return engine


def sample_views(engine: Engine) -> list[Views]:
    """The chips of the main face of each sample portrait."""
    views = []
    for portrait in sample_portraits():
        found, _ = search(engine, portrait.photo, search_rotations=False)
        at = main_face(found)
        mesh = engine.mesh.fit(portrait.photo, found.boxes[at], found.points[at]) if engine.mesh else None
        face = measure_face(portrait.photo, found[at : at + 1], mesh)
        views.append(engine.embedder.chips(portrait.photo, *face.alignment))
    return views


def pairs_a_second(work: Callable[[], Any], pairs: int) -> float:
    """The best of some rounds."""
    work()
    rates = []
    for _ in range(ROUNDS):
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < ROUND_SECONDS:
            work()
            done += pairs
        rates.append(done / (time.perf_counter() - begun))
    return max(rates)


def memory(device: Device) -> str:
    """The peak memory of this process, and what is in use on a GPU."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    told = f"{int(peak[1]) / 1000:,.0f} MB" if peak else "unknown"
    if device == "cpu":
        return told
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader"]
    try:
        return f"{told}; GPU {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}"
    except (OSError, subprocess.CalledProcessError):
        return told


def agreement(vectors: NDArray[np.float32], known: NDArray[np.float32]) -> str:
    """The lowest cosine of a vector and the processor's."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(known, axis=1)
    return f"{float(np.min((vectors * known).sum(axis=1) / lengths)):.6f}"


def batches(device: Device, pack: str, views: Sequence[Views], known: NDArray[np.float32]) -> Table:
    """Pairs a second, memory and agreement at each batch size."""
    table = Table("pairs a batch", "pairs a second", "memory", "lowest cosine with the processor's", title=device)
    engine = engine_on(device, pack, joins=False)
    for size in BATCHES:
        places = list(itertools.islice(itertools.cycle(range(len(views))), 2 * size))
        faces = [views[place] for place in places]
        rate = pairs_a_second(lambda faces=faces: engine.embedder.vectors(faces), size)  # type: ignore[misc]
        agreed = agreement(engine.embedder.vectors(faces), known[places])
        table.add_row(str(size), f"{rate:,.0f}", memory(device), agreed)
    return table


def requests(device: Device, pack: str, views: Sequence[Views]) -> Table:
    """Pairs a second of requests at once, each a pair at a time, with their runs joined and not."""
    table = Table("requests at once", "joined", "not joined", title=f"{device}, pairs a second")
    engines = [engine_on(device, pack, joins=joins) for joins in (True, False)]
    for number in REQUESTS:
        with ThreadPoolExecutor(number) as pool:

            def rate(engine: Engine, pool: ThreadPoolExecutor = pool, number: int = number) -> float:
                asked = [views[:2]] * number
                return pairs_a_second(lambda: list(pool.map(engine.embedder.vectors, asked)), number)

            table.add_row(str(number), *(f"{rate(engine):,.0f}" for engine in engines))
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=devices.DEVICES, default="cpu")
    parser.add_argument("--pack", default="standard")
    chosen = parser.parse_args()
    reference = Engine(chosen.pack, ComparerSettings(uncalibrated=True))
    views = sample_views(reference)
    known = np.concatenate([reference.embedder.vectors([each]) for each in views])
    console = Console()
    if chosen.device == "cpu":
        console.print("No GPU was asked for: the processor, one thread a run, stands in for it behind the same seam.")
    console.print(batches(chosen.device, chosen.pack, views, known))
    console.print(requests(chosen.device, chosen.pack, views))


if __name__ == "__main__":
    main()
