"""Stability of landmarks and pose under small movements of a photo, for the mesh as shipped and with a second run.

    python benchmarks/steadiness.py [--photos 250]

Each photo of lfw-dev (LIKENESS_DATA) is rotated by up to 8 degrees, scaled by 0.8 to 1.25 and shifted by up to 6 px,
three times; the results, transformed back, should agree.
"""

import argparse
import os
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.engine import Engine
from likeness.image import open_image
from likeness.pipeline import decoded, search
from likeness.vision.mesh import Mesh, detected_crop, five_landmarks, mesh_crop
from likeness.vision.pose import pose_of_mesh
from likeness.vision.pyramid import Pyramid
from likeness.vision.suppression import areas

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]
Measure = Callable[[Mesh, Pyramid, Numbers, Numbers], Numbers | None]


def as_shipped(mesh: Mesh, photo: Pyramid, box: Numbers, five: Numbers) -> Numbers | None:
    """One run, and more if the mesh implies another crop; None if it does not fit."""
    found = mesh.fit(photo, box, five)
    return None if found is None else found.points.astype(np.float64)


def with_a_second_run(mesh: Mesh, photo: Pyramid, box: Numbers, five: Numbers) -> Numbers:
    """The mean of two runs: in the detector's crop, and in the crop of the mesh, as large as MediaPipe makes it."""
    first, _ = mesh._run(photo, detected_crop(box, five))
    second, _ = mesh._run(photo, mesh_crop(first))
    return (first + second) / 2


def moved(photo: Pixels, chance: np.random.Generator) -> tuple[Pixels, Numbers]:
    """The photo moved a little, and the inverse transform (2, 3), in coordinates from edge to edge."""
    height, width = photo.shape[:2]
    degrees, scale = chance.uniform(-8, 8), chance.uniform(0.8, 1.25)
    there = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale), np.float64)
    there[:, 2] += chance.uniform(-6, 6, 2)
    centred = there.copy()
    centred[:, 2] += there[:, :2] @ (0.5, 0.5) - 0.5
    picture = cv2.warpAffine(photo, centred, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(picture, np.uint8), np.asarray(cv2.invertAffineTransform(there), np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=250)
    paths = sorted((DATA / "lfw-dev").rglob("*.jpg"))
    chosen = random.Random(5).sample(paths, parser.parse_args().photos)
    engine, chance = Engine("standard"), np.random.default_rng(0)
    assert engine.mesh is not None
    ways: dict[str, Measure] = {"as shipped": as_shipped, "with a second run": with_a_second_run}
    points: dict[str, list[float]] = {name: [] for name in ways}
    angles: dict[str, list[Numbers]] = {name: [] for name in ways}
    for path in chosen:
        stored = cv2.imread(str(path))
        assert stored is not None
        photo = np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)
        versions = [moved(photo, chance) for _ in range(3)]
        searched = [search(engine, decoded(open_image(picture)))[0] for picture, _ in versions]
        found = [faces[np.argsort(-areas(faces.boxes))[:1]] for faces in searched]
        if not all(len(each) for each in found):
            continue
        for name, measure in ways.items():
            fives, turns = [], []
            for (picture, back), face in zip(versions, found, strict=True):
                mesh = measure(
                    engine.mesh, Pyramid.of(picture), face.boxes[0].astype(float), face.points[0].astype(float)
                )
                if mesh is None:
                    break
                fives.append(five_landmarks(mesh) @ back[:, :2].T + back[:, 2])
                pose = pose_of_mesh(mesh)
                turns.append((pose.yaw, pose.pitch))
            else:
                eyes_px = np.linalg.norm(fives[0][0] - fives[0][1])
                points[name].append(float(np.linalg.norm(np.std(fives, axis=0), axis=1).mean() / eyes_px))
                angles[name].append(np.std(turns, axis=0))
    print("                        points, eye distances: median   95 %   yaw, pitch, degrees: median")
    for name in ways:
        yaw, pitch = np.median(angles[name], axis=0)
        print(
            f"{name:24s}{np.median(points[name]):30.4f} {np.quantile(points[name], 0.95):6.4f} {yaw:22.2f} {pitch:.2f}"
        )


if __name__ == "__main__":
    main()
