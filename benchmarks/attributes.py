"""Evaluates the attributes: pose, smile, emotions, and the effect of the quality filters.

    python -m benchmarks.attributes [pose] [smile] [emotions] [quality] [fit] [--data DIR]

Without a name it measures all but `fit`, which prints the tables of `expression.py`. Learned parts are
evaluated by five-fold cross-validation over persons, with three partitions. The data are not public (LIKENESS_DATA).
"""

import argparse
import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from benchmarks.learning import (
    HAPPY,
    NAMES,
    NEUTRAL,
    Numbers,
    area_under_curve,
    emotion_regression,
    judged_by_folds,
    macro_recall,
    smile_regression,
)
from numpy.typing import NDArray

from likeness import packs
from likeness.engine import Engine
from likeness.faces import QUALITY_FILTERS, Pose, Quality
from likeness.image import ImageLimits, open_image
from likeness.pipeline import decoded, search
from likeness.vision.detection import confidences
from likeness.vision.expression import LABELS, happiness, read_expression, smile_features
from likeness.vision.geometry import HEIGHT_PER_WIDTH, service_box
from likeness.vision.mesh import FaceMesh
from likeness.vision.pose import pose_of_mesh, pose_of_points
from likeness.vision.pyramid import Pyramid
from likeness.vision.quality import measure_quality

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
#: Persons of lfw-dev, with two photos each, on whom the quality filters are evaluated.
PERSONS = 200
EMOTION_RIDGE, SMILE_RIDGE = 20.0, 10.0
Spoil = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The largest face of one photo; `points` are the mesh's landmarks if it fits, else the `detected` ones."""

    pixels: NDArray[np.uint8]
    detected: Numbers
    points: Numbers
    mesh: FaceMesh | None
    pose: Pose
    quality: Quality
    width_px: float
    confidence: float


def largest_face(engine: Engine, pixels: NDArray[np.uint8]) -> Seen | None:
    """The largest face, measured as by the pipeline; None if no face is found."""
    found, _ = search(engine, decoded(open_image(pixels, limits=ImageLimits(min_side_px=1))))
    if len(found) == 0:
        return None
    largest = int(np.argmax(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)))
    detected = found.points[largest]
    assert engine.mesh is not None
    mesh = engine.mesh.fit(Pyramid.of(pixels), found.boxes[largest], detected)
    points = detected if mesh is None else mesh.landmarks
    pose = pose_of_points(detected) if mesh is None else pose_of_mesh(mesh.points)
    box = service_box(points, pose)
    width_px = float(np.sqrt(np.prod(box[2:] - box[:2]) / HEIGHT_PER_WIDTH))
    quality = measure_quality(Pyramid.of(pixels), box)
    confidence = float(confidences(found.scores)[largest])
    return Seen(
        pixels, np.asarray(detected, float), np.asarray(points, float), mesh, pose, quality, width_px, confidence
    )


def read(path: Path) -> NDArray[np.uint8]:
    photo = cv2.imread(str(path))
    assert photo is not None
    return np.ascontiguousarray(photo[:, :, ::-1], np.uint8)


def person(path: Path) -> str:
    return re.sub(r"_\d+$", "", path.stem)


# -- the data ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Expressions:
    """The measurements of expressions-dev: one row per detected face with one of the seven labels."""

    labels: NDArray[np.intp]
    persons: list[str]
    log_probabilities: Numbers
    smile: Numbers
    meshes: NDArray[np.bool_]


def expressions(engine: Engine, data: Path) -> Expressions:
    network = packs.load("standard", threads=1).network("expression")
    labels, persons, logs, smiles, meshes = [], [], [], [], []
    with (data / "expressions-dev" / "labels.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["expression"] in NAMES]
    for row in rows:
        path = data / "expressions-dev" / row["image"]
        seen = largest_face(engine, read(path))
        if seen is None:
            continue
        labels.append(NAMES.index(row["expression"]))
        persons.append(person(path))
        logs.append(read_expression(network, Pyramid.of(seen.pixels), seen.points))
        smiles.append(smile_features(seen.mesh, happiness(logs[-1])))
        meshes.append(seen.mesh is not None)
    print(f"expressions-dev: {len(rows)} named photos, {len(labels)} with a face, {sum(meshes)} with a mesh")
    return Expressions(np.array(labels), persons, np.array(logs), np.array(smiles), np.array(meshes))


# -- what is printed --------------------------------------------------------------------------------------------------


def emotions(_: Engine, seen: Expressions) -> None:
    logs, labels = seen.log_probabilities, seen.labels

    def fit_and_score(learn: NDArray[np.bool_], judge: NDArray[np.bool_]) -> Numbers:
        slopes, bias = emotion_regression(logs[learn], labels[learn], EMOTION_RIDGE)
        return logs[judge] @ slopes + bias

    def log_loss(scores: Numbers) -> float:
        return float(np.mean(np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(labels)), labels]))

    runs = list(judged_by_folds(seen.persons, fit_and_score))
    recalls = [macro_recall(run, labels) for run in runs]
    print("emotions: macro recall over the seven named ones, chance is 0.143")
    print(f"  the network as it is             {macro_recall(logs, labels):.3f}   log loss {log_loss(logs):.2f}")
    losses = np.mean([log_loss(run) for run in runs])
    print(f"  recalibrated, by folds           {np.mean(recalls):.3f}   log loss {losses:.2f}   "
          f"(seeds {min(recalls):.3f} to {max(recalls):.3f})")  # fmt: skip
    print("  of each label (row), the share read as each emotion (column), by folds, percent")
    print("  " + " " * 10 + "".join(f"{label[:8]:>10}" for label in LABELS))
    for label, name in enumerate(NAMES):
        reads = np.concatenate([run[labels == label].argmax(axis=1) for run in runs])
        shares = np.bincount(reads, minlength=len(NAMES)) / len(reads)
        print(f"  {name:10}" + "".join(f"{100 * share:10.0f}" for share in shares))


def smile(_: Engine, seen: Expressions) -> None:
    labels = seen.labels
    print("smile: area under the ROC curve, by folds")
    for name, columns in (("happiness and mouth", [0, 1, 2]), ("happiness alone", [0]), ("mouth alone", [1, 2])):
        inputs = seen.smile[:, columns]

        def fit_and_score(learn: NDArray[np.bool_], judge: NDArray[np.bool_], inputs: Numbers = inputs) -> Numbers:
            slopes, bias = smile_regression(inputs[learn], labels[learn], SMILE_RIDGE)
            return inputs[judge] @ slopes + bias

        runs = list(judged_by_folds(seen.persons, fit_and_score))
        against = {
            rival: np.mean([area_under_curve(run[labels == HAPPY], run[others]) for run in runs])
            for rival, others in (("neutral", labels == NEUTRAL), ("all others", labels != HAPPY))
        }
        right = np.mean(
            [((run[labels == HAPPY] > 0).mean() + (run[labels == NEUTRAL] <= 0).mean()) / 2 for run in runs]
        )
        print(f"  {name:20} against neutral {against['neutral']:.3f}, against all others {against['all others']:.3f}; "
              f"smile or neutral told right {right:.3f}")  # fmt: skip


def fit(_: Engine, seen: Expressions) -> None:
    slopes, bias = emotion_regression(seen.log_probabilities, seen.labels, EMOTION_RIDGE)
    print("expression.py, _RECALIBRATION and _BIAS")
    for row in slopes:
        print("    [" + ", ".join(f"{value:.3f}" for value in row) + "],")
    print("    " + ", ".join(f"{value:.3f}" for value in bias))
    usual = np.median(seen.smile[seen.meshes, 1:], axis=0)
    weights, offset = smile_regression(seen.smile, seen.labels, SMILE_RIDGE)
    print("_SMILE_WEIGHTS, _SMILE_BIAS, _USUAL_MOUTH")
    print("    " + ", ".join(f"{value:.3f}" for value in weights), f"   {offset:.3f}   ", np.round(usual, 3))


def pose(engine: Engine, data: Path) -> None:
    """Every 38th photo of lfw-dev, mirrored and rotated: the expected change of the pose needs no labels."""
    paths = sorted((data / "lfw-dev" / "images").rglob("*.jpg"))[5::38]
    angles = (30.0, -30.0, 90.0, 180.0)
    mirrored: list[list[float]] = []
    turned: dict[float, list[list[float]]] = {angle: [] for angle in angles}
    lost = 0
    for path in paths:
        pixels = read(path)
        before = largest_face(engine, pixels)
        flipped = largest_face(engine, np.ascontiguousarray(pixels[:, ::-1]))
        if before is None or flipped is None or not same_face(before, flipped, pixels.shape[1]):
            lost += 1
            continue
        one, other = before.pose, flipped.pose
        mirrored.append([one.roll + other.roll, one.yaw + other.yaw, one.pitch - other.pitch])
        for angle in angles:
            after = largest_face(engine, turn(pixels, angle))
            if after is None:
                lost += 1
                continue
            off = [after.pose.roll - one.roll - angle, after.pose.yaw - one.yaw, after.pose.pitch - one.pitch]
            turned[angle].append([(value + 180) % 360 - 180 for value in off])
    print(f"pose: {len(paths)} photos of lfw-dev; {lost} mirrored or turned views lost or of another face")
    print("  absolute error, degrees: median, 95 %, 99 %; share within 3")
    print_errors("mirrored", mirrored)
    for angle in angles:
        print_errors(f"turned by {angle:.0f}", turned[angle])


def same_face(before: Seen, flipped: Seen, width_px: int) -> bool:
    back = width_px - 1 - flipped.points[:, 0].mean(), flipped.points[:, 1].mean()
    return bool(np.linalg.norm(before.points.mean(axis=0) - back) < before.width_px / 4)


def turn(pixels: NDArray[np.uint8], angle_deg: float) -> NDArray[np.uint8]:
    """The photo rotated clockwise about its centre, on a canvas that contains all of it."""
    height_px, width_px = pixels.shape[:2]
    side_px = int(np.ceil(np.hypot(height_px, width_px)))
    matrix = cv2.getRotationMatrix2D((width_px / 2, height_px / 2), -angle_deg, 1.0)
    matrix[:, 2] += (side_px - width_px) / 2, (side_px - height_px) / 2
    return np.asarray(cv2.warpAffine(pixels, matrix, (side_px, side_px)), dtype=np.uint8)


def print_errors(name: str, errors: Sequence[Sequence[float]]) -> None:
    sizes = np.abs(np.array(errors))
    columns = zip(("roll", "yaw", "pitch"), sizes.T, strict=True)
    print(f"  {name:15}" + "   ".join(
        f"{axis} {np.median(size):.2f} {np.quantile(size, 0.95):.2f} {np.quantile(size, 0.99):.2f} "
        f"({(size <= 3).mean():.3f})"
        for axis, size in columns
    ))  # fmt: skip


# -- the quality filters ----------------------------------------------------------------------------------------------


def small(factor: float) -> Spoil:
    return lambda pixels: np.asarray(
        cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )


def blurred(sigma_px: float) -> Spoil:
    return lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.uint8)


def dark(gain: float) -> Spoil:
    return lambda pixels: np.asarray(pixels * gain, np.uint8)


#: The photos are 250 px wide, the faces in them about 95 px.
VERSIONS: dict[str, Spoil] = {
    "as is": lambda pixels: pixels,
    "blur 1": blurred(1.0),
    "blur 2": blurred(2.0),
    "blur 3.5": blurred(3.5),
    "x0.6": small(0.6),
    "x0.4": small(0.4),
    "x0.25": small(0.25),
    "turned": lambda pixels: turn(pixels, 30.0),
    "dark": dark(0.1),
}


def quality(engine: Engine, data: Path) -> None:
    """Genuine pairs: different photos of one person, degraded or not. Impostors: all pairs of different people."""
    paths = sorted((data / "lfw-dev" / "images").rglob("*.jpg"))
    several = [name for name, count in count_persons(paths).items() if count >= 2][:PERSONS]
    chosen = [path for name in several for path in [each for each in paths if person(each) == name][:2]]
    faces: list[tuple[str, str, Seen]] = []
    vectors: list[NDArray[np.float32]] = []
    for path in chosen:
        pixels = read(path)
        for version, spoil in VERSIONS.items():
            seen = largest_face(engine, spoil(pixels))
            if seen is not None:
                faces.append((path.stem, version, seen))
                vectors.append(vector_of(engine, seen))
    print(
        f"quality: {len(chosen)} photos of {len(several)} persons of lfw-dev, "
        f"in {len(VERSIONS)} versions: {len(faces)} faces"
    )
    report_filters(engine, faces, np.stack(vectors))


def vector_of(engine: Engine, seen: Seen) -> NDArray[np.float32]:
    """A face's vector."""
    mesh_points = None if seen.mesh is None else seen.mesh.points
    chips = engine.embedder.chips(Pyramid.of(seen.pixels), seen.detected, mesh_points)
    return np.asarray(engine.embedder.vectors([chips])[0], np.float32)


def count_persons(paths: Sequence[Path]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path in paths:
        counts[person(path)] = counts.get(person(path), 0) + 1
    return counts


def report_filters(engine: Engine, faces: Sequence[tuple[str, str, Seen]], vectors: NDArray[np.float32]) -> None:
    photos = np.array([photo for photo, _, _ in faces])
    people = np.array([person(Path(photo)) for photo in photos])
    versions = np.array([version for _, version, _ in faces])
    first, second = np.triu_indices(len(faces), k=1)
    profiles = engine.scorer.profile(vectors)
    scores = engine.scorer.compare(profiles, profiles)[first, second]
    genuine = (people[first] == people[second]) & (photos[first] != photos[second])
    impostor = people[first] != people[second]
    print(
        "  faces kept of each version, percent; missed genuine pairs (FNMR) at a false match rate of 1e-2, 1e-3, 1e-4"
    )
    for name in QUALITY_FILTERS:
        bar = engine.quality_bar(name)
        kept = np.array([
            bar is None or bar.passes(seen.quality, seen.pose, face_width_px=seen.width_px, confidence=seen.confidence)
            for _, _, seen in faces
        ])  # fmt: skip
        both = kept[first] & kept[second]
        impostors, genuines = np.sort(scores[both & impostor])[::-1], scores[both & genuine]
        rates = [(genuines <= impostors[int(rate * len(impostors))]).mean() for rate in (1e-2, 1e-3, 1e-4)]
        shares = "  ".join(f"{version} {100 * kept[versions == version].mean():.0f}" for version in VERSIONS)
        print(
            f"  {name:7} {shares}   FNMR "
            + " ".join(f"{rate:.4f}" for rate in rates)
            + f"   {len(genuines)} genuine pairs"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", nargs="*", choices=["pose", "smile", "emotions", "quality", "fit", []])
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    wanted = arguments.what or ["pose", "smile", "emotions", "quality"]
    with_photos = {"pose": pose, "quality": quality}
    with_expressions = {"smile": smile, "emotions": emotions, "fit": fit}
    engine = Engine("standard")
    seen = expressions(engine, arguments.data) if set(wanted) & set(with_expressions) else None
    for name in wanted:
        if seen is not None and name in with_expressions:
            with_expressions[name](engine, seen)
        else:
            with_photos[name](engine, arguments.data)


if __name__ == "__main__":
    main()
