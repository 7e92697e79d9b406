"""Recall of small faces: by the pipeline as shipped, and by one search of each size.

    python benchmarks/small_faces.py [--photos 60]

Faces of lfw-dev (LIKENESS_DATA) are pasted into photos of 1920x1080 so that the service's bounding boxes would be 40
and 30 px wide: as a grid that fills one photo, and, which is harder, one to four at random places next to one large
face.
"""

import argparse
import os
import random
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs
from likeness.engine import Engine
from likeness.image import open_image
from likeness.pipeline import decoded, search
from likeness.vision.pyramid import Pyramid, Size

Pixels = NDArray[np.uint8]
Scene = tuple[Pixels, NDArray[np.float64]]
"""A photo, and the middles (N, 2) of its small faces."""

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
_WIDTH_PX, _HEIGHT_PX = 1920, 1080
_SIZES = ((1440, 800), (1120, 640), (800, 448), (608, 320))
_FACE_WIDTHS_PX = (40, 30)
#: The approximate width of the service's bounding box in an LFW photo of 250 px.
_LFW_FACE_PX, _LFW_PX = 88, 250
#: Pasted faces are blended into the background over about this many px, to leave no edges.
_FADE_PX = 8


def _read(path: Path) -> Pixels:
    photo = cv2.imread(str(path))
    assert photo is not None
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB), np.uint8)


def _people() -> list[Path]:
    paths = sorted((DATA / "lfw-dev").rglob("*_0001.jpg"))
    random.Random(3).shuffle(paths)
    return paths


def _grained(photo: Pixels, chance: np.random.Generator) -> Pixels:
    return np.asarray(np.clip(photo + chance.normal(0, 3, photo.shape), 0, 255), np.uint8)


def wall_of_faces(face_px: int) -> Scene:
    """A photo filled with tiles, each with another person in its centre."""
    tile = round(_LFW_PX * face_px / _LFW_FACE_PX)
    photo = np.full((_HEIGHT_PX, _WIDTH_PX, 3), 90, np.uint8)
    places = [(x, y) for y in range(0, _HEIGHT_PX - tile, tile) for x in range(0, _WIDTH_PX - tile, tile)]
    for (x, y), path in zip(places, _people(), strict=False):
        photo[y : y + tile, x : x + tile] = cv2.resize(_read(path), (tile, tile), interpolation=cv2.INTER_AREA)
    return _grained(photo, np.random.default_rng(0)), np.array(places) + tile / 2


def beside_a_large_face(face_px: int, seed: int) -> Scene:
    """A portrait as high as the photo, and one to four small faces at random places next to it."""
    chance = np.random.default_rng(seed)
    tile = round(_LFW_PX * face_px / _LFW_FACE_PX)
    portraits = [*packs.samples().values(), *_people()[-60:]]
    portrait = _read(portraits[seed % len(portraits)])
    scale = _HEIGHT_PX / portrait.shape[0]
    enlarged = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    portrait = np.asarray(enlarged[:, : _WIDTH_PX - 3 * tile], np.uint8)
    clouds = chance.integers(40, 210, (9, 16, 3), dtype=np.uint8)
    photo = np.asarray(cv2.resize(clouds, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_CUBIC), np.uint8)
    left = int(chance.choice([0, _WIDTH_PX - portrait.shape[1]]))
    photo[:, left : left + portrait.shape[1]] = portrait
    free = (0, left - tile) if left else (portrait.shape[1], _WIDTH_PX - tile)
    inner = np.pad(np.ones((tile - 2 * _FADE_PX,) * 2, np.float32), _FADE_PX)
    mask = cv2.GaussianBlur(inner, (0, 0), _FADE_PX / 2)[..., None]
    places: list[tuple[int, int]] = []
    while len(places) < 1 + seed % 4:
        x, y = int(chance.integers(free[0], free[1], endpoint=True)), int(chance.integers(0, _HEIGHT_PX - tile))
        if any(abs(x - a) < tile and abs(y - b) < tile for a, b in places):
            continue
        person = _people()[int(chance.integers(0, len(_people()) - 60))]
        face = cv2.resize(_read(person), (tile, tile), interpolation=cv2.INTER_AREA)
        under = photo[y : y + tile, x : x + tile]
        photo[y : y + tile, x : x + tile] = (mask * face + (1 - mask) * under).astype(np.uint8)
        places.append((x, y))
    return _grained(photo, chance), np.array(places) + tile / 2


def recall(engine: Engine, scenes: list[Scene], size: Size | None, reach_px: float) -> tuple[float, int]:
    """The share of small faces with a detection near their centre, and their number; with one search of `size`, or as
    shipped.
    """
    hits: list[bool] = []
    for photo, middles in scenes:
        if size is None:
            found, _ = search(engine, decoded(open_image(photo)), search_rotations=False)
        else:
            seen = engine.detector.detect(Pyramid.of(photo).resized(size))
            found = seen.scaled(photo.shape[1] / size[0], photo.shape[0] / size[1])
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        distances = np.linalg.norm(middles[:, None] - centres[None], axis=2)
        hits += (distances.min(axis=1, initial=np.inf) < reach_px).tolist()
    return float(np.mean(hits)), len(hits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=60, help="photos with a large face")
    options = parser.parse_args()
    engine = Engine("standard")
    print("face    where                 searched at    found    of")
    for face_px in _FACE_WIDTHS_PX:
        settings = {
            "wall": [wall_of_faces(face_px)],
            "beside a large face": [beside_a_large_face(face_px, seed) for seed in range(options.photos)],
        }
        for where, scenes in settings.items():
            for size in (None, *_SIZES):
                share, count = recall(engine, scenes, size, 0.15 * _LFW_PX * face_px / _LFW_FACE_PX)
                shown = f"{size[0]}x{size[1]}" if size else "as shipped"
                print(f"{face_px} px   {where:20s}  {shown:12s} {share:7.3f} {count:5d}", flush=True)


if __name__ == "__main__":
    main()
