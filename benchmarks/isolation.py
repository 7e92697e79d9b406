"""The cost of decoding photos in processes of their own: two servers, with `isolate_decoding` and without, interleaved.

    python -m benchmarks.isolation [--rounds 21] [--repeat 20] [--clients 8]

One client, or several at once, sends pairs of portraits over kept connections, at each size. Prints the medians over
rounds of processor time (of the server and its decoders) and of time for one request, and the median of the ratios;
then the memory of one decoder and what starting one takes. Linux only.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.load.requests import request
from benchmarks.serving import MOST_CLIENTS, REPOSITORY, Server
from PIL import Image

from likeness import packs
from likeness.image import ImageLimits
from likeness.isolation.decoders import Decoders

SIZES = ((640, 480), (1280, 886), (4000, 3000))
FLAGS = (("--no-isolate-decoding",), ("--isolate-decoding",))


def body(width: int, height: int) -> bytes:
    """The body of a request with two portraits of this size."""
    photos = []
    for name in ("obama.jpg", "obama2.jpg"):
        with Image.open(packs.samples()[name]) as picture, io.BytesIO() as file:
            picture.convert("RGB").resize((width, height)).save(file, "JPEG", quality=90)
            photos.append(file.getvalue())
    return request(photos[0], photos[1]).partition(b"\r\n\r\n")[2]


def measure(servers: list[Server], data: bytes, *, rounds: int, repeat: int, clients: int) -> str:
    """A line of the table: milliseconds without and with decoders, and the ratios."""
    found: list[tuple[list[float], list[float]]] = []
    for number in range(rounds + 1):  # the first warms up
        cpu, wall = [0.0, 0.0], [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            begun = time.perf_counter()
            cpu[which] = 1000 * servers[which].cpu_of(data, repeat, clients)
            wall[which] = 1000 * (time.perf_counter() - begun) / (repeat // clients * clients)
        found.append((cpu, wall))
    cells = []
    for kind in (0, 1):
        here, apart = (statistics.median(each[kind][which] for each in found[1:]) for which in (0, 1))
        ratio = statistics.median(each[kind][1] / each[kind][0] for each in found[1:])
        cells.append(f"{here:6.1f} ms {apart:6.1f} ms {ratio:6.3f}")
    return "   ".join(cells)


def decoder() -> str:
    """What one decoder takes before its first photo."""
    begun = time.perf_counter()
    decoders = Decoders.for_photos(1, ImageLimits())
    decoders.layers()
    seconds = time.perf_counter() - begun
    process = decoders._idle.get()
    assert process is not None
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))
    process.close()
    return f"a decoder: {seconds:.2f} s to start, {cpu:.2f} s of processor time, {private / 1024:.0f} MiB of its own"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeat", type=int, default=20, help="requests a round")
    parser.add_argument("--clients", type=int, default=1, choices=range(1, MOST_CLIENTS + 1))
    options = parser.parse_args()
    home = Path(os.environ.get("LIKENESS_HOME", Path.home() / ".cache" / "likeness"))
    with tempfile.TemporaryDirectory() as name:
        servers = [Server(REPOSITORY, home, engine=True, scratch=Path(name), flags=flags) for flags in FLAGS]
        print("             processor time: here, apart, ratio     time: here, apart, ratio")
        for width, height in SIZES:
            data = body(width, height)
            line = measure(servers, data, rounds=options.rounds, repeat=options.repeat, clients=options.clients)
            print(f"{f'{width}x{height}':>10}   {line}", flush=True)
        for server in servers:
            server.close()
    print(decoder())


if __name__ == "__main__":
    main()
