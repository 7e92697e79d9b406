"""What batches cost: comparisons, photos, memory, kills, broken photos, and what that means for large ones.

    python benchmarks/batch.py                    everything but the cluster; 15 minutes on two cores
    python benchmarks/batch.py comparisons all-pairs photos memory broken kills ray sizing

Photos are made of the sample portraits, each with content of its own. Figures go to benchmarks/results/batch.json, from
which `sizing` computes the table of docs/batch.md.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from likeness import packs
from likeness.batch.all_pairs import AllPairs
from likeness.batch.describe import BatchOptions, describe
from likeness.batch.described import AS_SOURCE, AS_TARGET, DescribedPhoto
from likeness.comparer import Comparer

RESULTS = Path(__file__).with_name("results") / "batch.json"
LIKENESS = Path(sys.executable).with_name("likeness")
PORTRAITS = ("obama.jpg", "obama2.jpg", "biden.jpg")


def comparisons(comparer: Comparer) -> dict[str, Any]:
    """A million comparisons of embedded faces."""
    chance = np.random.default_rng(1)
    first, second = (chance.normal(size=(1000, 192)).astype(np.float32) for _ in range(2))
    scorer = comparer.scorer
    best: dict[str, Any] = {}
    for _ in range(4):
        wall, cpu = time.perf_counter(), time.process_time()
        comparer.calibration.similarity(scorer.compare(scorer.profile(first), scorer.profile(second)))
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        best = took if not best or took["wall_s"] < best["wall_s"] else best
    return {"comparisons": 1_000_000, **best}


def all_pairs(comparer: Comparer) -> dict[str, Any]:
    """All pairs of 20,000 embedded photos, of which every tenth is there twice."""
    chance = np.random.default_rng(2)
    vectors = chance.normal(size=(20_000, 192)).astype(np.float32)
    vectors[1::10] = vectors[::10] + 0.1 * chance.normal(size=(2000, 192)).astype(np.float32)
    work = AllPairs(comparer, vectors, np.arange(len(vectors)), 80.0, 10)
    wall, cpu = time.perf_counter(), time.process_time()
    found = sum(len(work.shard(number).first) for number in range(work.shards))
    return {
        "photos": len(vectors),
        "found": found,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def photos(comparer: Comparer) -> dict[str, Any]:
    """10,000 pairs over 2,000 photos by the command, against the processor time of analysing the photos once."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 2000)
        chance = random.Random(3)
        pairs = [(name, chance.choice(names)) for name in names * 5]
        write_pairs(place / "pairs.csv", pairs)
        ran = command(place, "pairs.csv", "out.jsonl")
        comparer.warm_up()
        once_cpu, wall = time.process_time(), time.perf_counter()
        for name in names:
            describe(comparer, (place / name).read_bytes(), AS_SOURCE | AS_TARGET, BatchOptions())
        once = {"cpu_s": time.process_time() - once_cpu, "wall_s": time.perf_counter() - wall}
    return {"photos": 2000, "pairs": 10_000, "batch": ran, "photos_once": once, "ratio": ran["cpu_s"] / once["cpu_s"]}


def engines(comparer: Comparer) -> dict[str, Any]:
    """Photos described by threads of one process and by processes of one thread, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        encoded = [(place / name).read_bytes() for name in make_photos(place, 200)]
    cores = comparer.threads
    best = {"threads": float("inf"), "processes": float("inf")}
    with (
        ThreadPoolExecutor(cores) as threads,
        ProcessPoolExecutor(cores, get_context("spawn"), initializer=_start) as processes,
    ):
        list(processes.map(_describe_there, encoded[: 4 * cores]))
        for _ in range(3):
            start = time.perf_counter()
            list(threads.map(lambda photo: describe(comparer, photo, 3, BatchOptions()), encoded))
            best["threads"] = min(best["threads"], time.perf_counter() - start)
            start = time.perf_counter()
            list(processes.map(_describe_there, encoded, chunksize=4))
            best["processes"] = min(best["processes"], time.perf_counter() - start)
    return {f"{name}_photos_a_second": len(encoded) / took for name, took in best.items()}


_of_process: list[Comparer] = []


def _start() -> None:
    _of_process.append(Comparer(threads=1))


def _describe_there(photo: bytes) -> DescribedPhoto:
    return describe(_of_process[0], photo, 3, BatchOptions())


def memory(_: Comparer) -> dict[str, Any]:
    """The command's memory with 10,000 and with 1,000,000 pairs over the same photos."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 200)
        for count in (10_000, 1_000_000):
            chance = random.Random(count)
            write_pairs(place / f"{count}.csv", ((chance.choice(names), chance.choice(names)) for _ in range(count)))
            sizes[str(count)] = command(place, f"{count}.csv", f"{count}.jsonl")
    return {"runs": sizes, "ratio": sizes["1000000"]["peak_mb"] / sizes["10000"]["peak_mb"]}


def broken(_: Comparer) -> dict[str, Any]:
    """One photo in a hundred of 10,000 is broken: each is a row, none an end."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 10_000)
        for name in names[::100]:
            whole = (place / name).read_bytes()
            (place / name).write_bytes(random.Random(name).choice([whole[:200], b"", b"no photo", whole[40:]]))
        write_pairs(place / "pairs.csv", zip(names, names[1:] + names[:1], strict=True))
        ran = command(place, "pairs.csv", "out.jsonl")
        records = [json.loads(line) for line in (place / "out.jsonl").read_text("utf-8").splitlines()]
    failed = {each["source"] for each in records if each["error"] and each["source"] in names[::100]}
    return {"photos": 10_000, "broken": 100, "rows": len(records), "broken_with_a_row": len(failed), **ran}


def kills(_: Comparer) -> dict[str, Any]:
    """kill -9 at twenty random moments: the output is that of a run that was left alone."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 600)
        write_pairs(place / "pairs.csv", zip(names * 3, (names[1:] + names[:1]) * 3, strict=True))
        command(place, "pairs.csv", "whole.jsonl")
        moments, killed = random.Random(4), 0
        while killed < 20:
            process = subprocess.Popen(words("pairs.csv", "broken.jsonl"), cwd=place, stderr=subprocess.DEVNULL)
            time.sleep(moments.uniform(0.05, 3.0))
            process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                shutil.rmtree(place / "broken.jsonl.run")
                (place / "broken.jsonl").unlink()
            else:
                killed += 1
        command(place, "pairs.csv", "broken.jsonl")
        same = (place / "whole.jsonl").read_bytes() == (place / "broken.jsonl").read_bytes()
    return {"kills": killed, "identical": same}


def ray(_: Comparer) -> dict[str, Any]:
    """Photos a second on a Ray cluster on this machine, by the number of actors, one processor each."""
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 1280)
        write_pairs(place / "pairs.csv", zip(names, names[1:] + names[:1], strict=True))
        local = command(place, "pairs.csv", "local.jsonl")
        for actors in range(1, (os.cpu_count() or 1) + 1):
            ran = command(place, "pairs.csv", f"{actors}.jsonl", "--engine", "ray", "--actors", str(actors))
            assert (place / f"{actors}.jsonl").read_bytes() == (place / "local.jsonl").read_bytes()
            rates[str(actors)] = {"wall_s": ran["wall_s"], "photos_a_second": len(names) / ran["wall_s"]}
        drivers = {}
        for count in (10_000, 200_000):
            chance = random.Random(count)
            some = names[:64]
            write_pairs(place / f"{count}.csv", ((chance.choice(some), chance.choice(some)) for _ in range(count)))
            drivers[str(count)] = command(place, f"{count}.csv", f"{count}.jsonl", "--engine", "ray", "--actors", "1")
    return {"driver": drivers, "photos": 1280, "local_photos_a_second": 1280 / local["wall_s"], "actors": rates}


def sizing(results: dict[str, Any]) -> str:
    """What large batches take on cores like those measured, as a table in Markdown."""
    photo_cpu_s = results["photos"]["photos_once"]["cpu_s"] / results["photos"]["photos"]
    comparison_cpu_s = results["comparisons"]["cpu_s"] / results["comparisons"]["comparisons"]
    short, long = (results["memory"]["runs"][count]["cpu_s"] for count in ("10000", "1000000"))
    row_cpu_s = (long - short) / 990_000
    row_bytes, stored_bytes, photo_bytes = 250, 2_000, 200_000
    lines = [
        "| Photos | Pairs | Processor hours | on 2 cores | on 64 cores | Disk: faces | Disk: output | Network |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count, pairs in ((2_000, 10_000), (100_000, 1_000_000), (1_000_000, 100_000_000), (10_000_000, 1_000_000_000)):
        hours = (count * photo_cpu_s + pairs * (comparison_cpu_s + row_cpu_s)) / 3600
        lines.append(
            f"| {count:,} | {pairs:,} | {hours:,.2f} | {hours / 2:,.2f} h | {hours / 64:,.2f} h "
            f"| {count * stored_bytes / 1e9:,.2f} GB | {pairs * row_bytes / 1e9:,.2f} GB "
            f"| {count * photo_bytes / 1e9:,.1f} GB |"
        )
    return "\n".join(lines)


def make_photos(folder: Path, count: int) -> list[str]:
    """Portraits of 640 px, each of another content: what follows the end of a JPEG is not looked at."""
    from io import BytesIO

    from PIL import Image

    portraits = packs.samples()
    encoded = []
    for name in PORTRAITS:
        with Image.open(portraits[name]) as picture, BytesIO() as file:
            picture.convert("RGB").resize((640, 640 * picture.height // picture.width)).save(file, "JPEG", quality=90)
            encoded.append(file.getvalue())
    names = [f"{number:06}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(encoded[number % len(encoded)] + number.to_bytes(4, "big"))
    return names


def write_pairs(path: Path, pairs: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("source,target\n")
        file.writelines(f"{source},{target}\n" for source, target in pairs)


def command(folder: Path, pairs: str, output: str, *more: str) -> dict[str, float]:
    """Runs the command; its time, and the largest memory that it had."""
    start = time.perf_counter()
    process = subprocess.Popen(words(pairs, output, *more), cwd=folder, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the batch ended with {process.returncode}")
    wall = time.perf_counter() - start
    return {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def words(pairs: str, output: str, *more: str) -> list[str]:
    return [str(LIKENESS), "batch", pairs, "--output", output, *more]


PARTS: dict[str, Callable[[Comparer], dict[str, Any]]] = {
    "comparisons": comparisons,
    "all-pairs": all_pairs,
    "photos": photos,
    "engines": engines,
    "memory": memory,
    "broken": broken,
    "kills": kills,
    "ray": ray,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, sizing (default: all but ray)"
    )
    chosen = parser.parse_args().parts or [*(name for name in PARTS if name != "ray"), "sizing"]
    packs.install("samples")
    results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    with Comparer() as comparer:
        for name in chosen:
            if name == "sizing":
                print(sizing(results))
                continue
            results[name] = PARTS[name](comparer)
            print(name, json.dumps(results[name], indent=2))
            RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
