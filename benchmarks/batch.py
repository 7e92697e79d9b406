"""The performance of batches: comparisons, photos, memory, kills, broken photos, and estimates for large batches.

    python benchmarks/batch.py                    everything but the cluster; 15 minutes on two cores
    python benchmarks/batch.py comparisons all-pairs photos throughput engines memory broken kills ray ray-memory sizing

Photos are made of the sample portraits, each with different content. Figures are written to
benchmarks/results/batch.json, from which `sizing` computes the table of docs/batch.md.
"""

import argparse
import json
import os
import random
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
from statistics import median
from threading import get_native_id
from typing import Any

import numpy as np

from likeness import packs
from likeness.batch.all_pairs import PHOTOS_A_BLOCK, AllPairs, Blocks, block_of
from likeness.batch.describe import BatchOptions, describe
from likeness.batch.described import AS_SOURCE, AS_TARGET, DescribedPhoto, Faces
from likeness.batch.photos import PhotoReader
from likeness.batch.progress import Count
from likeness.batch.rows import TableRows
from likeness.batch.run import Job, run
from likeness.batch.storage import FolderStorage
from likeness.comparer import Comparer, ComparerSettings
from likeness.sources.stores import Stores

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
    """All pairs of 20,000 embedded photos, every tenth of which is duplicated: found, ranked and named."""
    chance = np.random.default_rng(2)
    vectors = chance.normal(size=(20_000, 192)).astype(np.float32)
    vectors[1::10] = vectors[::10] + 0.1 * chance.normal(size=(2000, 192)).astype(np.float32)
    photos = [DescribedPhoto(source=Faces((), vector.tobytes())) for vector in vectors]
    with tempfile.TemporaryDirectory() as folder:
        blocks = Blocks(FolderStorage(Path(folder)), len(photos))
        for number in range(len(blocks)):
            start = number * PHOTOS_A_BLOCK
            blocks.write(number, block_of(start, photos[start : start + PHOTOS_A_BLOCK]))
        work = AllPairs(comparer, blocks, 80.0, 10)
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(len(blocks)):
            blocks.write_candidates(number, work.candidates(number))
        found = sum(1 for _ in blocks.records(10, str))
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return {"photos": len(photos), "found": found, **took, "peak_mb": peak_of(os.getpid()) / 1024}


def photos(comparer: Comparer) -> dict[str, Any]:
    """10,000 pairs over 2,000 photos by the command, against the processor time of analysing the photos once.

    They are analysed by as many threads as the command has, before and after it, and by one thread: a photo takes more
    processor time while the other processors work too.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 2000)
        chance = random.Random(3)
        write_pairs(place / "pairs.csv", [(name, chance.choice(names)) for name in names * 5])
        comparer.warm_up()
        paths = [place / name for name in names]
        before = analysed_once(comparer, paths, comparer.threads)
        ran = command(place, "pairs.csv", "out.jsonl")
        after = analysed_once(comparer, paths, comparer.threads)
        alone = analysed_once(comparer, paths, 1)
    once = {name: (before[name] + after[name]) / 2 for name in before}
    ratios = {"ratio": ran["cpu_s"] / once["cpu_s"], "ratio_to_one_thread": ran["cpu_s"] / alone["cpu_s"]}
    measured = {"batch": ran, "photos_once": once, "photos_once_by_one_thread": alone}
    return {"photos": 2000, "pairs": 10_000, **measured, **ratios}


def analysed_once(comparer: Comparer, photos: list[Path], threads: int) -> dict[str, float]:
    """The time of analysing each photo once."""

    def analyse(photo: Path) -> None:
        describe(comparer, photo.read_bytes(), AS_SOURCE | AS_TARGET, BatchOptions())

    with ThreadPoolExecutor(threads) as pool:
        cpu, wall = time.process_time(), time.perf_counter()
        list(pool.map(analyse, photos))
        return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


class Silent:
    """Shows no progress."""

    def begin(self, photos: Count, pairs: Count) -> None: ...

    def photo(self, *, failed: bool) -> None: ...

    def pairs(self, count: int) -> None: ...


def throughput(_: Comparer) -> dict[str, Any]:
    """The same pairs of photos compared one by one in process (as in `make bench`) and as a batch, alternating.

    The ratio of processor times is valid on a busy machine too, that of wall times is not.
    """
    settings = ComparerSettings(face_attributes="default")
    taken: dict[str, list[tuple[float, float]]] = {"in_process": [], "batch": []}
    with tempfile.TemporaryDirectory() as folder, Comparer(settings=settings) as comparer:
        place = Path(folder)
        names = [str(place / name) for name in make_photos(place, 960)]
        pairs = list(zip(names[::2], names[1::2], strict=True))
        write_pairs(place / "pairs.csv", pairs)
        reader = PhotoReader(place, Stores(()), settings.max_bytes)
        with ThreadPoolExecutor(comparer.threads) as threads:
            list(threads.map(lambda pair: comparer.compare(*pair), pairs[:8]))
            for turn in range(3):
                start = time.perf_counter(), time.process_time()
                list(threads.map(lambda pair: comparer.compare(*pair), pairs))
                taken["in_process"].append((time.perf_counter() - start[0], time.process_time() - start[1]))
                job = Job(TableRows(place / "pairs.csv"), place / f"{turn}.jsonl", BatchOptions(settings=settings))
                start = time.perf_counter(), time.process_time()
                run(job, comparer, reader, Silent())
                taken["batch"].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, cpu = (
        [one[kind] / other[kind] for one, other in zip(taken["in_process"], taken["batch"], strict=True)]
        for kind in (0, 1)
    )
    rates = {f"{name}_photos_a_second": len(names) / min(times)[0] for name, times in taken.items()}
    return {"photos": len(names), **rates, "ratio_median": median(wall), "ratio_of_processor_time": median(cpu)}


def engines(comparer: Comparer) -> dict[str, Any]:
    """Photos analysed by two threads of a process and by two processes, and the share of time in which each works.

    The rest is waiting for each other: for threads, for the interpreter lock. Waiting for a processor that another
    program uses is not counted, so that the share is valid on a busy machine too.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        photos = [(place / name).read_bytes() for name in make_photos(place, 40)]
    found: dict[str, dict[str, list[float]]] = {}
    with (
        ThreadPoolExecutor(2) as threads,
        ProcessPoolExecutor(2, get_context("spawn"), initializer=_start) as processes,
    ):
        pools = {"threads": (threads, comparer), "processes": (processes, None)}
        for turn in range(6):
            for name, (pool, engine) in pools.items():
                start = time.perf_counter()
                worked = [pool.submit(_describe_all, photos, engine) for _ in range(2)]
                shares = [each.result() for each in worked]
                if turn:
                    kept = found.setdefault(name, {"photos_a_second": [], "share_of_time_working": []})
                    kept["photos_a_second"].append(2 * len(photos) / (time.perf_counter() - start))
                    kept["share_of_time_working"].append(sum(shares) / 2)
    return {name: {what: median(values) for what, values in kept.items()} for name, kept in found.items()}


_of_process: list[Comparer] = []


def _start() -> None:
    _of_process.append(Comparer(threads=1))


def _describe_all(photos: list[bytes], comparer: Comparer | None) -> float:
    """Analyses photos; returns the share of time in which this thread ran, without waits for a processor."""
    engine = comparer or _of_process[0]
    before, start = _scheduled_s(), time.perf_counter()
    for photo in photos:
        describe(engine, photo, AS_SOURCE | AS_TARGET, BatchOptions())
    worked, delayed = (after - early for after, early in zip(_scheduled_s(), before, strict=True))
    return worked / (time.perf_counter() - start - delayed)


def _scheduled_s() -> tuple[float, float]:
    """The seconds that this thread has run, and has waited for a processor (Linux, schedstat)."""
    ran, waited, _ = Path(f"/proc/self/task/{get_native_id()}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def memory(_: Comparer) -> dict[str, Any]:
    """The command's memory with 10,000 and with 1,000,000 pairs over the same photos."""
    few, many = with_few_and_many_pairs(200)
    return {"runs": {"10000": few, "1000000": many}, "ratio": many["peak_mb"] / few["peak_mb"]}


def with_few_and_many_pairs(photos: int, *more: str) -> list[dict[str, float]]:
    """Runs the command with 10,000 and with 1,000,000 pairs of that many photos."""
    ran = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, photos)
        for count in (10_000, 1_000_000):
            chance = random.Random(count)
            write_pairs(place / f"{count}.csv", ((chance.choice(names), chance.choice(names)) for _ in range(count)))
            ran.append(command(place, f"{count}.csv", f"{count}.jsonl", *more))
    return ran


def broken(_: Comparer) -> dict[str, Any]:
    """Of 10,000 photos one in a hundred is broken: each becomes a row, and none ends the batch."""
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
    """kill -9 at twenty random times: the output is that of an uninterrupted run."""
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
    """Photos per second on a Ray cluster on this machine by its actors, one processor each.

    The start of the cluster and its actors, measured by a run with two photos, is subtracted.
    """
    actors_of = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = make_photos(place, 512)
        write_pairs(place / "two.csv", [(names[0], names[1])])
        write_pairs(place / "pairs.csv", zip(names, names[1:] + names[:1], strict=True))
        command(place, "pairs.csv", "local.jsonl")
        for actors in (1, 2):
            on_ray = ("--engine", "ray", "--actors", str(actors))
            start_s = command(place, "two.csv", f"two-{actors}.jsonl", *on_ray)["wall_s"]
            ran_s = command(place, "pairs.csv", f"{actors}.jsonl", *on_ray)["wall_s"]
            same = (place / f"{actors}.jsonl").read_bytes() == (place / "local.jsonl").read_bytes()
            rate = (len(names) - 2) / (ran_s - start_s)
            actors_of[str(actors)] = {"start_s": start_s, "photos_a_second": rate, "as_local": same}
    return {"photos": len(names), "actors": actors_of}


def ray_memory(_: Comparer) -> dict[str, Any]:
    """The memory of Ray's driver and of its object store with 10,000 and with 1,000,000 pairs over the same photos."""
    few, many = with_few_and_many_pairs(64, "--engine", "ray", "--actors", "2")
    ratios = {name: many[name] / few[name] for name in ("peak_mb", "object_store_mb")}
    return {"runs": {"10000": few, "1000000": many}, "ratio": ratios}


def sizing(results: dict[str, Any]) -> str:
    """Estimates for large batches on cores like those measured, as a Markdown table."""
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
    """Portraits of 640 px with different content: decoders ignore data after the end of a JPEG."""
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


def command(folder: Path, pairs: str, output: str, *more: str, cluster: int | None = None) -> dict[str, float]:
    """Runs the command; returns its time, its peak memory, and with Ray that of the object store.

    `cluster` is the process that has started Ray, if it is not the command.
    """
    start = time.perf_counter()
    process = subprocess.Popen(words(pairs, output, *more), cwd=folder, stderr=subprocess.DEVNULL)
    peak_kb, stored, looked = 0, 0, start
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak_kb = max(peak_kb, peak_of(process.pid))
        if "ray" in more and time.perf_counter() - looked > 0.2:
            stored, looked = max(stored, object_store_bytes(cluster or process.pid)), time.perf_counter()
        time.sleep(0.02)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the batch ended with {process.returncode}")
    wall = time.perf_counter() - start
    took = {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": peak_kb / 1024}
    return took | ({"object_store_mb": stored / (1 << 20)} if "ray" in more else {})


def object_store_bytes(starter: int) -> int:
    """The shared memory in use by the fullest object store of the Ray cluster that a process has started.

    It is an unnamed file in memory of the raylet, a child of that process; its blocks are the pages written.
    """
    held = 0
    for process in Path(f"/proc/{starter}/task/{starter}/children").read_text().split():
        try:
            if Path(f"/proc/{process}/comm").read_text().strip() != "raylet":
                continue
            for handle in Path(f"/proc/{process}/fd").iterdir():
                if "plasma" in os.readlink(handle):
                    held = max(held, handle.stat().st_blocks * 512)
        except OSError:  # the process has ended, or the file is closed
            continue
    return held


def peak_of(process: int) -> int:
    """The peak memory of a process in kB since its exec; ru_maxrss would include that of its parent."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def words(pairs: str, output: str, *more: str) -> list[str]:
    return [str(LIKENESS), "batch", pairs, "--output", output, *more]


PARTS: dict[str, Callable[[Comparer], dict[str, Any]]] = {
    "comparisons": comparisons,
    "all-pairs": all_pairs,
    "photos": photos,
    "throughput": throughput,
    "engines": engines,
    "memory": memory,
    "broken": broken,
    "kills": kills,
    "ray": ray,
    "ray-memory": ray_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, sizing (default: all but those of ray)"
    )
    chosen = parser.parse_args().parts or [*(name for name in PARTS if not name.startswith("ray")), "sizing"]
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
