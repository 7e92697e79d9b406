"""Measured processor time of decoding, against the estimates of `likeness.image.cost` from header and scans.

    python benchmarks/decoding.py [--megapixels 4] [--repeat 3]
    python benchmarks/decoding.py --libraries

The files are crafted to be the most costly of their kind. For each it prints the processor time of one decoding, at an
eighth (as for the search of a large photo) and in full (as for small faces), the estimate, and their ratio. The
constants of the model are chosen so that no photo costs over a tenth more than its estimate on the machine measured.
`--libraries` prints instead the processor time of libraries that decode an ordinary JPEG, and base64, alike.
"""

import argparse
import base64
import io
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator

import cv2
import msgspec
import numpy as np
import pybase64
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from likeness.image import ImageLimits, cost, jpeg, jpeg_header, open_image, png
from likeness.image.jpeg_header import JpegHeader

ImageFile.MAXBLOCK = 1 << 28  # Pillow writes progressive noise into a buffer of this size

UNLIMITED = ImageLimits(max_pixels=10**9, max_bytes=10**9, max_decoding_seconds=10**9)
#: Arithmetic coding of blocks with only the last coefficient: once adapted, the coder needs no more data for further
#: blocks, so that these bytes make a picture of any size.
LAST_COEFFICIENTS = bytes.fromhex(
    "e978c000000000000e9bcc980106a881a8241b45007956a0fba812d71360db6de8208cbc4453f98dbb024aa5cc33f995ee2b"
    "1141ea82b28f9d71fdb7ac9179a7180913cd5ba92750971b1b082f1bd444934b7da00a08ab9c2bf0e2d1cd3ee1f199622917"
    "d937b09cb4c0717f1051a7af"
)

PROGRESSIVE, ARITHMETIC, ARITHMETIC_PROGRESSIVE = 0xC2, 0xC9, 0xCA


def segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def crafted(side: int, code: int, planes: int, scans: list[tuple[int, int, int, int, bytes]]) -> bytes:
    """A JPEG with `scans` (planes, first coefficient, last, approximation, data) that are almost empty, or noise."""
    numbers = range(1, planes + 1)
    tables = segment(0xDB, b"\x00" + bytes([1] * 64))
    tables += segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00")
    tables += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")  # a run of 2^14 blocks without coefficients
    frame = struct.pack(">BHHB", 8, side, side, planes) + b"".join(bytes([number, 0x11, 0]) for number in numbers)
    made = b"\xff\xd8" + tables + segment(code, frame)
    for count, first, last, approximation, data in scans:
        named = b"".join(bytes([number, 0]) for number in list(numbers)[:count])
        made += segment(0xDA, bytes([count]) + named + bytes([first, last, approximation])) + data
    return made + b"\xff\xd9"


def jpegs(side: int) -> Iterator[tuple[str, bytes]]:
    chance = np.random.default_rng(1)
    noise = chance.integers(0, 256, (side, side, 3), np.uint8)
    smooth = np.ascontiguousarray(
        np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8)[:, None, None], noise.shape)
    )
    for name, pixels in (("smooth", smooth), ("noise", noise)):
        for progressive in (False, True):
            for quality, subsampling in ((75, 2), (100, 0)):
                kind = "progressive" if progressive else "baseline"
                options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
                yield f"{kind}, {name}, quality {quality}", saved(pixels, **options)
        for progressive in (False, True):
            kind = "progressive" if progressive else "baseline"
            usual = saved(pixels, quality=75, subsampling=0, progressive=progressive)
            yield f"{kind}, {name}, unusual sampling", resampled(usual)
        yield f"CMYK, {name}", saved(Pillow.fromarray(pixels).convert("CMYK"), quality=90)
    nothing = bytes(side * side // 64 // 8 + 1)
    run = bytes(2 * (side * side // 64 // (1 << 14) + 1) + 16)
    random = chance.bytes(side * side // 8).replace(b"\xff", b"\x00")
    dc, first_ac, refining = (1, 0, 0, 0, nothing), (1, 1, 63, 0, run), (1, 1, 63, 0x10, run)
    yield "99 scans without coefficients", crafted(side, PROGRESSIVE, 1, [dc] + [first_ac] * 98)
    yield "99 scans that refine nothing", crafted(side, PROGRESSIVE, 1, [dc] + [refining] * 98)
    yield "arithmetic, no data", crafted(side, ARITHMETIC, 3, [(3, 0, 63, 0, b"")])
    yield "arithmetic, the last coefficients", crafted(side, ARITHMETIC, 1, [(1, 0, 63, 0, LAST_COEFFICIENTS)])
    yield "arithmetic, noise", crafted(side, ARITHMETIC, 3, [(3, 0, 63, 0, random)])
    yield (
        "arithmetic, 20 scans that refine nothing",
        crafted(side, ARITHMETIC_PROGRESSIVE, 1, [(1, 0, 0, 0, b"")] + [(1, 1, 63, 0x10, b"")] * 19),
    )
    yield (
        "arithmetic, 20 scans of noise",
        crafted(
            side, ARITHMETIC_PROGRESSIVE, 1, [(1, 0, 0, 0, b"")] + [(1, 1, 63, 0, random[: side * side // 99])] * 19
        ),
    )


def resampled(data: bytes) -> bytes:
    """`data` with a luma sampling factor of 3 vertically, a subsampling that TurboJPEG does not support."""
    frame = re.search(rb"\xff[\xc0\xc2]\x00\x11", data)
    assert frame is not None
    return data[: frame.start() + 11] + b"\x13" + data[frame.start() + 12 :]


def pngs(side: int) -> Iterator[tuple[str, bytes]]:
    """Rows of filter Paeth with noise, and with two values, which inflate slowest for their size."""
    chance = np.random.default_rng(2)
    for colour, channels, depths in (
        (0, 1, (1, 8, 16)),
        (2, 3, (8, 16)),
        (3, 1, (1, 8)),
        (4, 2, (8,)),
        (6, 4, (8, 16)),
    ):
        for depth in depths:
            for name, values in (("noise", 256), ("two values", 2)):
                for interlaced in (False, True):
                    raw = rows(side, channels * depth, values, interlaced, chance)
                    kind = f"PNG, colour {colour}, {depth} bits, {name}{', interlaced' if interlaced else ''}"
                    yield kind, encoded(side, depth, colour, raw, interlaced)


def rows(side: int, bits: int, values: int, interlaced: bool, chance: np.random.Generator) -> bytes:
    steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = []
    for top, left, down, across in steps if interlaced else ((0, 0, 1, 1),):
        height, width = len(range(top, side, down)), (len(range(left, side, across)) * bits + 7) // 8
        body = chance.integers(0, values, (height, width), np.uint8)
        parts.append(np.hstack([np.full((height, 1), 4, np.uint8), body]).tobytes())
    return b"".join(parts)


def encoded(side: int, depth: int, colour: int, raw: bytes, interlaced: bool) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, interlaced))
    palette = chunk(b"PLTE", bytes(3 << depth)) if colour == 3 else b""
    data = chunk(b"IDAT", zlib.compress(raw, 6))
    return png.SIGNATURE + header + palette + data + chunk(b"IEND", b"")


def saved(picture: NDArray[np.uint8] | Pillow.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Pillow.Image) else Pillow.fromarray(picture)
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def estimated(data: bytes) -> float:
    """The model's seconds for one decoding."""
    if data.startswith(png.SIGNATURE):
        return cost.png_seconds(png.read_header(data))
    return cost.jpeg_seconds(jpeg_header.read_header(data))


def measured(data: bytes, reduction: int, repeat: int) -> float:
    """The lowest processor time of one decoding in seconds; memory is allocated in the first repetition."""
    seconds = []
    for _ in range(repeat):
        header = png.read_header(data) if data.startswith(png.SIGNATURE) else jpeg_header.read_header(data)
        started = time.process_time()
        if isinstance(header, JpegHeader):
            jpeg.decode(data, header, reduction)
        else:
            png.decode(data, header, reduction)
        seconds.append(time.process_time() - started)
    return min(seconds)


def compare_libraries() -> None:
    """Processor time of one decoding: a JPEG of 1920x1080 (smooth noise, quality 90), and base64 of 3 MB."""
    chance = np.random.default_rng(1)
    coarse = chance.integers(0, 256, (135, 240, 3), np.uint8)
    photo = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    jpeg_bytes = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    text = base64.b64encode(chance.bytes(3_000_000))
    quoted, decoder = b'"' + text + b'"', msgspec.json.Decoder(bytes)
    libraries: dict[str, Callable[[], object]] = {
        "JPEG simplejpeg": lambda: simplejpeg.decode_jpeg(jpeg_bytes),
        "JPEG simplejpeg, half size": lambda: simplejpeg.decode_jpeg(
            jpeg_bytes, min_factor=2, min_height=1, min_width=1
        ),
        "JPEG opencv-python-headless": lambda: cv2.imdecode(np.frombuffer(jpeg_bytes, np.uint8), cv2.IMREAD_COLOR_RGB),
        "JPEG pillow": lambda: np.asarray(Pillow.open(io.BytesIO(jpeg_bytes))),
        "base64 pybase64": lambda: pybase64.b64decode(text, validate=True),
        "base64 msgspec": lambda: decoder.decode(quoted),
        "base64 standard library": lambda: base64.b64decode(text, validate=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in libraries}
    for _ in range(15):
        for name, decode in libraries.items():
            started = time.thread_time()
            decode()
            seconds[name].append(time.thread_time() - started)
    for name, taken in seconds.items():
        print(f"{name:32}{1000 * float(np.median(taken)):8.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--libraries", action="store_true")
    options = parser.parse_args()
    if options.libraries:
        compare_libraries()
        return
    side = int((options.megapixels * 1e6) ** 0.5) // 8 * 8
    ratios = []
    print(
        f"{'one decoding of ' + format(side**2 / 1e6, '.1f') + ' megapixels':56}{'MB':>7}{'eighth':>9}{'full':>9}",
        end="",
    )
    print(f"{'estimate':>10}{'ratio':>7}")
    for name, data in (*jpegs(side), *pngs(side)):
        open_image(data, limits=UNLIMITED)
        eighth, full = (measured(data, reduction, options.repeat) for reduction in (8, 1))
        estimate = estimated(data)
        ratios.append(estimate / max(eighth, full))
        times = f"{eighth * 1e3:7.1f}ms{full * 1e3:7.1f}ms{estimate * 1e3:8.1f}ms"
        print(f"{name:56}{len(data) / 1e6:7.2f}{times}{ratios[-1]:7.2f}")
    print(f"ratio: least {min(ratios):.2f}, median {np.median(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
