"""Measures the standard pack for its model card, and writes the tables of docs/accuracy.md.

    python -m benchmarks.accuracy            measure on people-dev and lfw-dev (ten minutes), record, write the tables
    python -m benchmarks.accuracy frontier   pairs accepted against equality of the cells, by the cohort's spread
    python -m benchmarks.accuracy thresholds pairs accepted at thresholds that are set on other pairs
    python -m benchmarks.accuracy time       measure the times again (the machine was busy), write the tables
    python -m benchmarks.accuracy tables     write the tables again: from the record, and from the pack's own figures

The record is benchmarks/results/accuracy.json. Cohorts and curves are evaluated on people from whom they were not
learned. The figures of the pack itself are those that `likeness calibrate` wrote into it. The evaluation data are not
public (LIKENESS_DATA). With --embeddings FILE, that file keeps the vectors, and an interrupted run resumes.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.accuracy_tables import tables, with_tables
from numpy.typing import NDArray

from likeness.comparer import Comparer
from likeness.engine import Engine
from likeness.evaluation.by_cell import CalibratedScorer, evaluate_cells
from likeness.evaluation.cohort import NEAREST, draw_cohort
from likeness.evaluation.cross_fit import GroupedFaces, Learn, cross_fitted_scores, default_scorer, parts_of
from likeness.evaluation.curve import Ranked, cell_weights, fit_calibration
from likeness.evaluation.differential import differential
from likeness.evaluation.embeddings import Embeddings
from likeness.evaluation.labelled import LabelledFaces, label_faces
from likeness.evaluation.measure import SIMILARITIES
from likeness.evaluation.pairs import PairSet, read_pairs
from likeness.evaluation.photo_table import PhotoTable, read_either
from likeness.packs import store
from likeness.packs.loaded import pack_folder
from likeness.vision.scoring import Scorer

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("LIKENESS_DATA", ROOT.parent / "shared" / "data"))
RECORD = ROOT / "benchmarks" / "results" / "accuracy.json"
CARD = ROOT / "docs" / "accuracy.md"
WITHIN = ("group", "sex")
RATES = (1e-3, 1e-4)
#: Variances of the cohort as shares of the faces' variance, and the number of random partitions of the people for each.
SPREADS, PARTITIONS = (0.4, 0.6, 0.7, 0.8), 4
#: Another cohort for the table of thresholds: 500 vectors for each of five groups, not narrowed.
OTHER_COUNT, OTHER_SPREAD = 2500, 1.0
OTHER_NEAREST = 90
#: The most similar pairs of people-dev, which were inspected one by one.
MOST_ALIKE = 80
APART_LEVELS = (80.0, 90.0)
ROBUSTNESS_PAIRS = 300
#: Views in a timed run of the embedder: as many as the engine passes at once.
VIEWS_A_RUN = 4

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]
Versions = Mapping[str, Callable[[NDArray[np.uint8]], bytes]]


def measure(data: Path, keep: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        one_view = with_one_view(pack_folder("standard"), Path(folder) / "one-view")
        with Comparer(one_view) as comparer:
            single = faces_of(comparer, data, keep)
        with Comparer("standard") as comparer:
            both = faces_of(comparer, data, keep)
            lfw = judged_as_it_ships(comparer, both[1])
    return with_times(
        {
            "steps": [
                judged("one view, cosine", 1, single, cosine_scorer),
                judged("one view, relative to the cohort", 1, single, default_scorer),
                judged("two views, cosine", 2, both, cosine_scorer),
                judged("**two views, relative to the cohort: `standard`**", 2, both, default_scorer),
            ],
            "thresholds": thresholds(both),
            "frontier": frontier(both),
            "apart": apart(both[0]),
            "lfw": lfw,
            "robustness": robustness(data / "lfw-dev", read_pairs(data / "lfw-dev" / "pairs.csv")),
        },
        Engine("standard"),
    )


def with_one_view(pack: Path, folder: Path) -> Path:
    """A copy of `pack` whose embedder uses only the second view."""
    shutil.copytree(pack, folder)
    manifest = folder / "manifest.toml"
    text = manifest.read_text("utf-8")
    shorter = text.replace('[[roles.embedder.views]]\npoints = "mesh"\n\n', "", 1)
    if shorter == text:
        raise ValueError(f"{manifest} has no view that is not mirrored")
    manifest.write_text(shorter, "utf-8")
    return folder


def faces_of(comparer: Comparer, data: Path, keep: Path | None) -> tuple[LabelledFaces, LabelledFaces]:
    """The faces of people-dev, with cells, and of lfw-dev, without."""
    tables = (data / "people-dev" / "people.csv", data / "lfw-dev" / "pairs.csv")
    people, lfw = (label_faces(comparer, path, read_either(path), WITHIN, keep=keep) for path in tables)
    return people, lfw


def cosine_scorer(_vectors: Vectors, _people: NDArray[np.int64], _groups: NDArray[np.str_]) -> Scorer:
    return Scorer()


def frontier(sets: tuple[LabelledFaces, LabelledFaces]) -> list[dict[str, Any]]:
    """Rows of `judged` for cohorts of several spreads, each with several random partitions of the people."""
    rows = []
    for spread in SPREADS:
        for seed in range(PARTITIONS):
            learn = partial(spread_scorer, spread=spread, seed=seed)
            rows.append({"spread": spread, **judged(f"{spread:g}", 2, sets, learn, seed=seed)})
    return rows


def spread_scorer(
    vectors: Vectors, people: NDArray[np.int64], groups: NDArray[np.str_], *, spread: float, seed: int
) -> Scorer:
    cohort = draw_cohort(vectors, people, groups, seed=seed, spread=spread)
    return Scorer(cohort.vectors.astype(np.float32), nearest=NEAREST)


def judged(
    name: str, views: int, sets: tuple[LabelledFaces, LabelledFaces], learn: Learn, seed: int = 0
) -> dict[str, Any]:
    """A row of the table of steps: at the score for each mean false match rate of `RATES`, the lowest and the highest
    cell and the share of accepted genuine pairs of lfw-dev.
    """
    people, lfw = sets
    first, second, cells = within_cells(people)
    ranked, by_cell = scored_cells(people, (first, second, cells), learn, seed)
    # Nothing is learned from lfw-dev, so no cross-fitting is needed for it.
    genuine = genuine_scores(lfw, learn(people.vectors, people.people, people.groups))
    row: dict[str, Any] = {"name": name, "views": views, "genuine_pairs": len(genuine), "at": {}}
    for rate in RATES:
        threshold = ranked.score(rate)
        counts = {cell: counted(scores >= threshold) for cell, scores in by_cell.items()}
        spread = differential([each["errors"] / each["pairs"] for each in counts.values()], ())
        row["at"][f"{rate:.0e}"] = {
            "accepted": float((genuine >= threshold).mean()),
            **extremes(counts),
            "max_over_geometric_mean": spread.max_over_geometric_mean,
            "max_over_min": spread.max_over_min,
        }
    return row


def counted(reached: NDArray[np.bool_]) -> dict[str, int]:
    return {"errors": int(reached.sum()), "pairs": len(reached)}


def extremes(counts: Mapping[str, dict[str, int]]) -> dict[str, dict[str, Any]]:
    """The cells with the lowest and the highest rate, with their counts."""
    ordered = sorted(counts, key=lambda cell: counts[cell]["errors"] / counts[cell]["pairs"])
    return {name: {"cell": cell, **counts[cell]} for name, cell in (("least", ordered[0]), ("most", ordered[-1]))}


def genuine_scores(faces: LabelledFaces, scorer: Scorer) -> Scores:
    """Scores of every pair of one person."""
    first, second = np.triu_indices(len(faces.people), k=1)
    same = faces.people[first] == faces.people[second]
    return scorer.score_pairs(faces.vectors, first[same], second[same])


def thresholds(sets: tuple[LabelledFaces, LabelledFaces]) -> list[dict[str, Any]]:
    """Accepted genuine pairs of lfw-dev, and the false match rates of people held out, at thresholds that are set on
    these people, or on the people from whom the cohort was drawn; for two cohorts. For the shipped cohort also without
    every second of the most similar pairs, as about half of these look like one person.
    """
    people, lfw = sets
    pairs = within_cells(people)
    weights = cell_weights(np.unique(pairs[2], return_inverse=True)[1])
    rows = []
    for name, learn in (("`standard`", default_scorer), ("500 a group, 90 nearest", other_scorer)):
        scorer = learn(people.vectors, people.people, people.groups)
        held_out, by_cell = scored_cells(people, pairs, learn)
        set_on = {
            "people held out": held_out,
            "people whom the cohort was drawn from": Ranked.of(scorer.score_pairs(people.vectors, *pairs[:2]), weights),
        }
        if learn is default_scorer:
            scores = np.concatenate(list(by_cell.values()))  # pairs are in the order of cells
            left = np.delete(np.arange(len(scores)), np.argsort(-scores)[:MOST_ALIKE:2])
            without = f"people held out, half of the {MOST_ALIKE} pairs most alike left out"
            set_on[without] = Ranked.of(scores[left], weights[left])
        genuine = genuine_scores(lfw, scorer)
        for basis, ranked in set_on.items():
            row: dict[str, Any] = {"cohort": name, "set_on": basis, "at": {}}
            for rate in RATES:
                threshold = ranked.score(rate)
                row["at"][f"{rate:.0e}"] = {
                    "accepted": float((genuine >= threshold).mean()),
                    "held_out": float(held_out.rate(np.array(threshold))),
                    **extremes({cell: counted(each >= threshold) for cell, each in by_cell.items()}),
                }
            rows.append(row)
    return rows


def other_scorer(vectors: Vectors, people: NDArray[np.int64], groups: NDArray[np.str_]) -> Scorer:
    cohort = draw_cohort(vectors, people, groups, count=OTHER_COUNT, spread=OTHER_SPREAD)
    return Scorer(cohort.vectors.astype(np.float32), nearest=OTHER_NEAREST)


def within_cells(faces: LabelledFaces) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.str_]]:
    """All pairs of different people of the same cell, and their cells."""
    parts = []
    for cell in np.unique(faces.cells[faces.cells != ""]):
        inside = np.flatnonzero(faces.cells == cell)
        first, second = (inside[places] for places in np.triu_indices(len(inside), k=1))
        different = faces.people[first] != faces.people[second]
        parts.append((first[different], second[different], np.full(int(different.sum()), cell)))
    first, second, cells = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return first, second, cells


def scored_cells(
    faces: LabelledFaces,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.str_]],
    learn: Learn,
    seed: int = 0,
) -> tuple[Ranked, dict[str, Scores]]:
    """Cross-fitted scores of pairs of different people: all, with equal weights of the cells, and by cell."""
    first, second, cells = pairs
    grouped = GroupedFaces(faces.vectors, faces.people, faces.groups)
    scores = cross_fitted_scores(grouped, first, second, learn=learn, seed=seed)
    _, numbers = np.unique(cells, return_inverse=True)
    by_cell = {str(cell): scores[cells == cell] for cell in np.unique(cells)}
    return Ranked.of(scores, cell_weights(numbers)), by_cell


def apart(faces: LabelledFaces) -> list[dict[str, Any]]:
    """False match rates of people from whom neither cohort nor curve was learned: both are learned, as by
    `likeness calibrate`, on one half of the people and evaluated on the other half; then the reverse.
    """
    halves = parts_of(faces.people) % 2
    rows = []
    for half in (0, 1):
        training, judging = part_of(faces, halves == half), part_of(faces, halves != half)
        first, second, cells = within_cells(training)
        same = np.triu_indices(len(training.people), k=1)
        genuine = training.people[same[0]] == training.people[same[1]]
        _, by_cell = scored_cells(training, (first, second, cells), default_scorer)
        grouped = GroupedFaces(training.vectors, training.people, training.groups)
        own = cross_fitted_scores(grouped, same[0][genuine], same[1][genuine])
        scores = np.concatenate(list(by_cell.values()))
        numbers = np.repeat(np.arange(len(by_cell)), [len(each) for each in by_cell.values()])
        curve = fit_calibration(own, scores, cell_weights(numbers))
        scorer = default_scorer(training.vectors, training.people, training.groups)
        first, second, cells = within_cells(judging)
        similarities = curve.similarity(scorer.score_pairs(judging.vectors, first, second))
        at = {}
        for level in APART_LEVELS:
            counts = {str(cell): counted(similarities[cells == cell] >= level) for cell in np.unique(cells)}
            at[f"{level:.0f}"] = {
                "mean": float(np.mean([each["errors"] / each["pairs"] for each in counts.values()])),
                **counted(similarities >= level),
                **extremes(counts),
            }
        rows.append({"people": len(np.unique(judging.people)), "at": at})
    return rows


def part_of(faces: LabelledFaces, chosen: NDArray[np.bool_]) -> LabelledFaces:
    return LabelledFaces(
        faces.name, faces.vectors[chosen], faces.people[chosen], faces.cells[chosen], faces.groups[chosen]
    )


def judged_as_it_ships(comparer: Comparer, faces: LabelledFaces) -> dict[str, Any]:
    """Both error rates of the pack on all pairs of a set without a cohort of its own, of any origin and sex."""
    table = PhotoTable(tuple(map(str, range(len(faces.people)))), faces.people, {})
    every = {"all": np.arange(len(faces.people))}
    scoring = CalibratedScorer(comparer.scorer, comparer.calibration)
    (counts,) = evaluate_cells(scoring, table, Embeddings(faces.vectors, {}), every).cells.values()
    genuine, impostor = counts.pairs
    rows = zip(SIMILARITIES, counts.false_match_rates(), counts.false_non_match_rates(), strict=True)
    return {
        "photos": len(faces.people),
        "people": counts.people,
        "genuine_pairs": genuine,
        "impostor_pairs": impostor,
        "at_similarity": [{"similarity": level, "fmr": asdict(fmr), "fnmr": asdict(fnmr)} for level, fmr, fnmr in rows],
    }


def with_times(record: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """`record` with the time of one view, and of scoring a pair of faces for the first time."""
    side_px = engine.embedder.aligner.size_px
    chips = np.zeros((VIEWS_A_RUN, side_px, side_px, 3), np.uint8)
    view_seconds = [
        seconds_taken(partial(engine.embedder.vectors, [chips[:1]] * len(chips))) / len(chips) for _ in range(60)
    ]
    vectors = np.random.default_rng(0).standard_normal((402, 192)).astype(np.float32)
    scorers = {"cosine": Scorer(), "cohort": engine.scorer}
    # Interleaved, so that other load on the machine affects both.
    pairs = [
        [seconds_taken(partial(scored, each, vectors[[place]], vectors[[place + 1]])) for each in scorers.values()]
        for place in range(400)
    ]
    milliseconds = dict(zip(scorers, (np.median(pairs, axis=0) * 1e3).round(3).tolist(), strict=True))
    return {
        **record,
        "milliseconds_a_view": round(float(np.median(view_seconds)) * 1e3, 2),
        "milliseconds_a_pair": milliseconds,
    }


def scored(scorer: Scorer, source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """The score of two faces (1, D) of which nothing is known yet."""
    return scorer.compare(scorer.profile(source), scorer.profile(target))


def seconds_taken(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def robustness(data: Path, pairs: PairSet) -> dict[str, Any]:
    """Changes of the Similarity of genuine pairs when one photo is encoded or scaled differently."""
    chosen = np.flatnonzero(pairs.same)
    chosen = chosen[np.linspace(0, len(chosen) - 1, ROBUSTNESS_PAIRS).astype(int)]
    moved: dict[str, list[float]] = {name: [] for name in VERSIONS}
    swapped = []
    with Comparer("standard") as comparer:
        for place in chosen:
            first, second = ((data / pairs.photos[i[place]]).read_bytes() for i in (pairs.first, pairs.second))
            pixels = cv2.imdecode(np.frombuffer(second, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            source = comparer.prepare(first, prefer="central").vector
            target = comparer.prepare(second, prefer="central").vector
            plain = similarity(comparer, source, target)
            swapped.append(abs(plain - similarity(comparer, target, source)))
            for name, version in VERSIONS.items():
                other = comparer.prepare(version(np.asarray(pixels, np.uint8)), prefer="central").vector
                moved[name].append(abs(similarity(comparer, source, other) - plain))
    return {
        "pairs": len(chosen),
        "source and target swapped": {"median": float(np.median(swapped)), "most": float(np.max(swapped))},
        **{name: {"median": float(np.median(m)), "p90": float(np.quantile(m, 0.9))} for name, m in moved.items()},
    }


def similarity(comparer: Comparer, source: Vectors, target: Vectors) -> float:
    return float(comparer.similarities(np.stack([source, target]), np.array([0]), np.array([1]))[0])


def jpeg(quality: int, scale: float = 1.0) -> Callable[[NDArray[np.uint8]], bytes]:
    def encode(pixels: NDArray[np.uint8]) -> bytes:
        if scale != 1.0:
            pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()

    return encode


VERSIONS: Versions = {
    "JPEG quality 90": jpeg(90),
    "JPEG quality 60": jpeg(60),
    "half the size, quality 90": jpeg(90, 0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the standard pack for docs/accuracy.md.")
    parser.add_argument(
        "what", nargs="?", choices=("measure", "frontier", "thresholds", "time", "tables"), default="measure"
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--embeddings", type=Path, help="keep vectors in this file and resume from it")
    options = parser.parse_args()
    if options.what == "measure":
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(measure(options.data, options.embeddings), indent=2) + "\n", "utf-8")
    if options.what in ("frontier", "thresholds"):
        part = frontier if options.what == "frontier" else thresholds
        with Comparer("standard") as comparer:
            rows = part(faces_of(comparer, options.data, options.embeddings))
        record = {**json.loads(RECORD.read_text("utf-8")), options.what: rows}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    if options.what == "time":
        record = with_times(json.loads(RECORD.read_text("utf-8")), Engine("standard"))
        RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    generated = tables(json.loads(RECORD.read_text("utf-8")), store.known("standard"))
    CARD.write_text(with_tables(CARD.read_text("utf-8"), generated), "utf-8")
    for text in generated.values():
        print(text + "\n")


if __name__ == "__main__":
    main()
