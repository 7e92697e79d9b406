"""How small a face may be: the share of faces that are found at each working size, and what is found beside them.

    python benchmarks/small_faces.py

Faces of lfw-dev (LIKENESS_DATA), pasted side by side into a photo of 1920x1080, so that the boxes that the service
would draw around them are 40 and 30 px wide.
"""

import os
import random
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs
from likeness.vision import detection
from likeness.vision.detectors import make_detector

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
_WIDTH_PX, _HEIGHT_PX = 1920, 1080
_SIZES = ((960, 544), (864, 480), (800, 448), (768, 416), (704, 384), (640, 352))
_FACE_WIDTHS_PX = (40, 30)
#: The service's box on an LFW photo of 250 px is about this wide.
_LFW_FACE_PX, _LFW_PX = 88, 250


def wall_of_faces(face_px: int) -> tuple[NDArray[np.uint8], int]:
    """A photo of as many different people as fit, and the side of a tile, each with one of them in its middle."""
    tile = round(_LFW_PX * face_px / _LFW_FACE_PX)
    paths = sorted((DATA / "lfw-dev").rglob("*_0001.jpg"))
    random.Random(3).shuffle(paths)
    photo = np.full((_HEIGHT_PX, _WIDTH_PX, 3), 90, np.uint8)
    places = [(x, y) for y in range(0, _HEIGHT_PX - tile, tile) for x in range(0, _WIDTH_PX - tile, tile)]
    for (x, y), path in zip(places, paths, strict=False):
        face = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        photo[y : y + tile, x : x + tile] = cv2.resize(face, (tile, tile), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, 3, photo.shape)
    return np.clip(photo + grain, 0, 255).astype(np.uint8), tile


def main() -> None:
    pack = packs.load("standard", threads=1)
    role = pack.manifest.role("detector")
    detector = make_detector(role.family, pack.network("detector"), role.parameters)
    print("face    searched at   found   of")
    for face_px in _FACE_WIDTHS_PX:
        photo, tile = wall_of_faces(face_px)
        rows, columns = (_HEIGHT_PX - 1) // tile, (_WIDTH_PX - 1) // tile
        middles = (np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) + 0.5) * tile
        for width, height in _SIZES:
            with mock.patch.object(detection, "working_size", lambda *_, size=(width, height): size):
                found, _ = detection.find_faces(detector, photo, search_rotations=False)
            centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
            near = np.linalg.norm(middles[:, None] - centres[None], axis=2).min(axis=1) < 0.15 * tile
            print(f"{face_px} px   {width:4d}x{height:<6d} {near.mean():6.3f}  {len(middles)}")


if __name__ == "__main__":
    main()
