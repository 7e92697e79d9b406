"""Throughput of 64 ordinary clients with and without 64 attackers: `python -m benchmarks.load`, or `make load`.

Ordinary clients each send a pair of 640x480 portraits, one request after the other. A third of the attackers stay
silent, a third announce 15 MiB and send a byte from time to time, a third send photos that cost nearly the maximum to
decode. Turns with and without attackers alternate, so that other load on the machine affects both. Prints the
throughput and the longest wait of ordinary clients; exits 1 if an attack takes more than half of the throughput, if a
client waits over five seconds, or if one is refused.

By default all clients have the same address and no keys, so that only behaviour distinguishes attackers; `--apart`
gives the attackers another address.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

from PIL import Image

from likeness import packs
from likeness.errors import RequestError
from likeness.image import ImageLimits, open_image

LEAST_SHARE, LONGEST_SECONDS = 0.5, 5.0
HEAD = (
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n"
    "X-Amz-Target: RekognitionService.CompareFaces\r\nContent-Length: {}\r\n\r\n"
)


@dataclass
class Tally:
    """The results of the ordinary clients."""

    answers: int = 0
    refused: list[str] = field(default_factory=list)
    longest: float = 0.0


def request(source: bytes, target: bytes) -> bytes:
    """A complete HTTP request."""
    images = {"SourceImage": source, "TargetImage": target}
    body = json.dumps({name: {"Bytes": base64.b64encode(data).decode()} for name, data in images.items()})
    return (HEAD.format(len(body)) + body).encode()


def ordinary_request() -> bytes:
    """A request with two portraits of 640x480."""
    photos = []
    for name in ("obama.jpg", "obama2.jpg"):
        with Image.open(packs.samples()[name]) as picture, io.BytesIO() as file:
            picture.convert("RGB").resize((640, 480)).save(file, "JPEG", quality=90)
            photos.append(file.getvalue())
    return request(photos[0], photos[1])


def costly_request() -> bytes:
    """A request with two copies of the most costly progressive JPEG within the limits."""
    best = b""
    for side in range(2000, 10_000, 1000):
        with io.BytesIO() as file:
            Image.effect_noise((side // 8, side // 8), 60).resize((side, side)).convert("RGB").save(
                file, "JPEG", quality=40, progressive=True
            )
            photo = file.getvalue()
        if len(photo) > 5_000_000:
            break
        try:
            open_image(photo, limits=ImageLimits())
        except RequestError:  # over a limit: the previous one is the most costly
            break
        best = photo
    return request(best, best)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    """Sends a request; returns the status line of the answer."""
    writer.write(data)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)
    return head.split(b"\r\n")[0]


async def ordinary(port: int, data: bytes, end: float, tally: Tally) -> None:
    """Sends one request after the other until `end`."""
    writer: asyncio.StreamWriter | None = None
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            status = await ask(reader, writer, data)
        except (OSError, asyncio.IncompleteReadError) as error:
            tally.refused.append(repr(error))
            writer = None
            continue
        tally.longest = max(tally.longest, time.monotonic() - begun)
        if b" 200 " in status:
            tally.answers += time.monotonic() < end
        else:
            tally.refused.append(status.decode())
    if writer is not None:
        writer.close()


async def attack(port: int, kind: int, costly: bytes, address: str) -> None:
    """Attacks without end; reconnects when disconnected."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            try:
                if kind == 0:
                    await reader.read()
                elif kind == 1:
                    writer.write(HEAD.format(15 * 1024 * 1024).encode() + b" " * 100_000)
                    while not writer.is_closing():
                        writer.write(b" ")
                        await asyncio.sleep(0.5)
                        await writer.drain()
                else:
                    while True:
                        await ask(reader, writer, costly)
            finally:
                writer.close()
        await asyncio.sleep(0.05)


async def measure(port: int, data: bytes, seconds: float, clients: int) -> Tally:
    """The results of `clients` ordinary clients in `seconds`."""
    tally = Tally()
    end = time.monotonic() + seconds
    await asyncio.gather(*(ordinary(port, data, end, tally) for _ in range(clients)))
    return tally


async def run(port: int, options: argparse.Namespace) -> bool:
    """Measures and prints; returns whether all limits hold."""
    data, costly = ordinary_request(), await asyncio.to_thread(costly_request)
    address = "127.0.0.2" if options.apart else "127.0.0.1"
    shares, longest, refused = [], {"alone": 0.0, "beside": 0.0}, []
    await measure(port, data, 1.0, 4)
    for number in range(options.turns):
        alone = await measure(port, data, options.seconds, options.clients)
        attackers = [asyncio.create_task(attack(port, kind % 3, costly, address)) for kind in range(options.attackers)]
        await asyncio.sleep(1.0)
        beside = await measure(port, data, options.seconds, options.clients)
        for task in attackers:
            task.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)
        await asyncio.sleep(2.0)
        shares.append(beside.answers / max(1, alone.answers))
        longest = {
            "alone": max(longest["alone"], alone.longest),
            "beside": max(longest["beside"], beside.longest),
        }
        refused += alone.refused + beside.refused
        print(
            f"turn {number + 1}: alone {alone.answers / options.seconds:.1f}/s, longest {alone.longest:.2f} s; "
            f"beside {beside.answers / options.seconds:.1f}/s, longest {beside.longest:.2f} s; "
            f"share {shares[-1]:.2f}, refused {len(alone.refused)} and {len(beside.refused)}"
        )
    share = statistics.median(shares)
    print(
        f"share {share:.2f} (at least {LEAST_SHARE}), longest wait {longest['beside']:.2f} s (alone "
        f"{longest['alone']:.2f} s; at most {LONGEST_SECONDS:g} s), refused {len(refused)} {sorted(set(refused))}"
    )
    return share >= LEAST_SHARE and longest["beside"] <= LONGEST_SECONDS and not refused


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn, with and without attackers")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--attackers", type=int, default=64)
    parser.add_argument("--apart", action="store_true", help="give attackers another address")
    options = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "likeness.cli.main",
        "serve",
        "--port",
        "0",
        "--auth",
        "none",
        "--access-log",
        "/dev/null",
    ]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = next(line for line in server.stderr if "listens on" in line)
        port = int(re.search(r":(\d+) ", address)[1])  # type: ignore[index]
        return 0 if asyncio.run(run(port, options)) else 1
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
