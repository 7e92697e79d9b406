"""The photos of the benchmark: sample portraits and faces of the evaluation data, scaled and pasted.

They are generated deterministically, once, into benchmarks/.photos, with sensor noise, so that a file is as large and
as slow to decode as a camera's photo of its size.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs

REPOSITORY = Path(__file__).resolve().parents[2]
PHOTOS = REPOSITORY / "benchmarks" / ".photos"
DATA = Path(os.environ.get("LIKENESS_DATA", REPOSITORY.parent / "shared" / "data"))

_GRAIN_SIGMA = 4.0
#: Bits per pixel in the file, as in typical photos of phones and cameras: 0.5 MB at 1920x1080, 3 MB at 12 megapixels.
_BITS_PER_PIXEL = 1.95
_SEED = 20240611


@dataclass(frozen=True)
class Pair:
    """Two photos to be compared, by path."""

    source: Path
    target: Path


def portrait_pair(width_px: int, height_px: int) -> Pair:
    """Two photos of this size of the same person, alone."""
    portraits = packs.samples()
    size = f"{width_px}x{height_px}"
    return Pair(
        _made(f"{size}-a.jpg", lambda: _portrait(portraits["obama.jpg"], width_px, height_px)),
        _made(f"{size}-b.jpg", lambda: _portrait(portraits["obama2.jpg"], width_px, height_px)),
    )


def portraits_of(count: int, width_px: int, height_px: int) -> list[Path]:
    """`count` different photos of one person each."""
    faces = _faces(count)
    name = f"one-of-{count}-{width_px}x{height_px}"
    return [
        _made(f"{name}-{place}.jpg", partial(_portrait, face, width_px, height_px)) for place, face in enumerate(faces)
    ]


def group(count: int, columns: int, width_px: int, height_px: int) -> Path:
    """A photo of `count` people in rows of `columns`."""
    name = f"group-{count}-{width_px}x{height_px}.jpg"
    return _made(name, lambda: _group(_faces(count), columns, width_px, height_px))


def _faces(count: int) -> list[Path]:
    """Photos of one person each: from the evaluation data if present, else the samples repeated."""
    folder = DATA / "lfw-dev" / "images"
    if folder.is_dir():
        people: dict[str, Path] = {}
        for path in sorted(folder.rglob("*.jpg")):
            people.setdefault(path.stem.rsplit("_", 1)[0], path)
        found = list(people.values())
        if len(found) >= count:
            return found[:: len(found) // count][:count]
    whole = [path for name, path in sorted(packs.samples().items()) if "partial" not in name]
    return [whole[place % len(whole)] for place in range(count)]


def _made(name: str, make: Callable[[], NDArray[np.uint8]]) -> Path:
    path = PHOTOS / name
    if not path.is_file():
        PHOTOS.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(_encoded(_grainy(make())))
        unfinished.replace(path)
    return path


def _portrait(path: Path, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """The portrait at the height of the photo, on a blurred enlargement of itself."""
    picture = _read(path)
    blurred = cv2.GaussianBlur(_covering(picture, 64, max(1, 64 * height_px // width_px)), (0, 0), 3)
    photo = _scaled(np.asarray(blurred, np.uint8), width_px, height_px)
    scale = min(height_px / picture.shape[0], width_px / picture.shape[1])
    face = _scaled(picture, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    left, top = (width_px - face.shape[1]) // 2, (height_px - face.shape[0]) // 2
    photo[top : top + face.shape[0], left : left + face.shape[1]] = face
    return np.asarray(photo, np.uint8)


def _group(paths: Sequence[Path], columns: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    rows = -(-len(paths) // columns)
    photo = np.full((height_px, width_px, 3), 96, np.uint8)
    for place, path in enumerate(paths):
        row, column = divmod(place, columns)
        left, right = (width_px * column // columns, width_px * (column + 1) // columns)
        top, bottom = (height_px * row // rows, height_px * (row + 1) // rows)
        photo[top:bottom, left:right] = _covering(_read(path), right - left, bottom - top)
    return photo


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _covering(picture: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """The centre of the picture, scaled to fill the frame; of a high one, the upper part with the face."""
    scale = max(width_px / picture.shape[1], height_px / picture.shape[0])
    large = _scaled(
        picture, max(width_px, round(picture.shape[1] * scale)), max(height_px, round(picture.shape[0] * scale))
    )
    left, top = (large.shape[1] - width_px) // 2, (large.shape[0] - height_px) // 6
    return large[top : top + height_px, left : left + width_px]


def _scaled(picture: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    way = cv2.INTER_AREA if width_px < picture.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=way), np.uint8)


def _grainy(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grain = np.random.default_rng(_SEED).normal(0.0, _GRAIN_SIGMA, photo.shape).astype(np.float32)
    return np.asarray(np.clip(photo + grain, 0, 255), np.uint8)


def _encoded(photo: NDArray[np.uint8]) -> bytes:
    """The JPEG, 4:2:0, at the highest quality within `_BITS_PER_PIXEL`."""
    wanted = photo.shape[0] * photo.shape[1] * _BITS_PER_PIXEL / 8
    low, high = 40, 97
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(_jpeg(photo, middle)) <= wanted else (low, middle - 1)
    return _jpeg(photo, low)


def _jpeg(photo: NDArray[np.uint8], quality: int) -> bytes:
    return bytes(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
