"""Broken and hostile files: each gets an answer or a clean error, in bounded time and memory."""

import io
import json
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from skimage import data

from likeness.errors import InvalidImageFormat, RequestError
from likeness.image import open_image

from .mutations import photos

WORKER = Path(__file__).with_name("worker.py")


def ends(photos: list[Path], portrait: Path) -> list[dict[str, Any]]:
    """The outcome of each photo, in one process; fails if that process crashes."""
    run = subprocess.run(
        [sys.executable, "-W", "error", str(WORKER), str(portrait)],
        input="".join(f"{path}\n" for path in photos),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    results = [json.loads(line) for line in run.stdout.splitlines()]
    last = photos[len(results)] if len(results) < len(photos) else "the end"
    assert run.returncode == 0, f"stopped at {last}: {run.stderr[-2000:]}"
    return results


def check(results: list[dict[str, Any]]) -> None:
    for result in results:
        for end, role in zip(result["ends"], ("source photo", "target photo"), strict=True):
            assert end == "answer" or end.split(":")[0].endswith("Exception"), result
            assert end == "answer" or role in end, result
        assert result["seconds"] < 2, result
    assert results[-1]["peak_mb"] < 500, max(results, key=lambda each: each["peak_mb"])


@pytest.mark.data
@pytest.mark.engine
@pytest.mark.parametrize("kind", ["jpeg", "png", "foreign"])
def test_fuzzing_corpora(data_dir: Path, portraits: dict[str, Path], kind: str) -> None:
    folders = [kind] if kind != "foreign" else ["gif", "webp", "tiff", "bmp"]
    photos = sorted(path for folder in folders for path in (data_dir / "malformed" / folder).iterdir())
    results = ends(photos, portraits["obama.jpg"])
    check(results)
    if kind == "foreign":
        codes = {end.split(":")[0] for result in results for end in result["ends"]}
        assert codes == {"InvalidImageFormatException"}


@pytest.mark.engine
def test_photos_damaged_at_random(portraits: dict[str, Path], tmp_path: Path) -> None:
    """A short run of `make fuzz ARGS=comparison`."""
    damaged = []
    for name, photo in islice(photos(seed=7), 90):
        damaged.append(tmp_path / name)
        damaged[-1].write_bytes(photo)
    check(ends(damaged, portraits["obama.jpg"]))


def test_decoding_photos_damaged_at_random() -> None:
    endings: Counter[str] = Counter()
    for name, photo in islice(photos(seed=11), 2000):
        started = time.thread_time()
        try:
            image = open_image(photo)
            assert image.pixels(2).shape[2] == 3
            endings["damaged" if image.damaged else "whole"] += 1
        except RequestError as error:
            endings[error.code] += 1
        assert time.thread_time() - started < 2, name
    assert min(endings["damaged"], endings["whole"], endings["InvalidImageFormatException"]) > 100, endings


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(data.astronaut()[:160, :160]).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("at", "value", "reason"), [(1, 0xC3, "a lossless or hier"), (4, 12, "12 bits per colour")])
def test_a_jpeg_of_a_kind_that_no_camera_writes_is_named(at: int, value: int, reason: str) -> None:
    photo = bytearray(jpeg())
    photo[photo.index(b"\xff\xc0") + at] = value
    with pytest.raises(InvalidImageFormat, match=reason):
        open_image(bytes(photo))


def test_a_photo_behind_a_progressive_one_is_ignored() -> None:
    """Cameras append previews and depth maps. One frame between the scans of another would be refused."""
    photo = jpeg(progressive=True)
    assert (open_image(photo + jpeg()).pixels() == open_image(photo).pixels()).all()


def test_a_png_whose_last_chunk_is_longer_than_the_file_is_cut_off() -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(data.astronaut()[:160, :160]).save(buffer, "PNG")
    whole = buffer.getvalue()
    assert whole[-12:-4] == b"\0\0\0\0IEND"
    with pytest.raises(InvalidImageFormat, match="it is cut off"):
        open_image(whole[:-12] + b"\0\0\0\1IEND" + whole[-4:])
