"""Measures the standard pack for its model card, and writes the tables of docs/accuracy.md.

    python benchmarks/accuracy.py            measure on lfw-dev (fifteen minutes), record, write the tables
    python benchmarks/accuracy.py time       measure the times again (the machine was busy), write the tables
    python benchmarks/accuracy.py tables     write the tables again from the record

The record is benchmarks/results/accuracy.json. Whatever is learned is judged on pairs of people who were not in what it
was learned from. The data are internal (LIKENESS_DATA).
"""

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.analysis import analyse
from likeness.comparer import Comparer
from likeness.engine import Engine
from likeness.evaluation.cross_fit import Learn, cross_fitted_scores, learn_shipped
from likeness.evaluation.curve import fit_calibration
from likeness.evaluation.learned_scoring import learn_scoring
from likeness.evaluation.metric import learn_metric
from likeness.evaluation.pairs import PairSet, read_pairs
from likeness.evaluation.rates import Rate, Trial, accuracy_by_fold
from likeness.image import ImageLimits, open_image
from likeness.stopwatch import Stopwatch
from likeness.threads import thread_budget
from likeness.vision.calibration import Calibration
from likeness.vision.embedding import Lengths
from likeness.vision.scoring import Scorer

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("LIKENESS_DATA", ROOT.parent / "shared" / "data"))
RECORD = ROOT / "benchmarks" / "results" / "accuracy.json"
CARD = ROOT / "docs" / "accuracy.md"
RATES = (1e-2, 1e-3, 1e-4, 1e-5)
LEVELS = (50.0, 80.0, 90.0, 95.0, 99.0)
SPLIT_LEVELS = (80.0, 90.0)
FOLDS_LEARNED_FROM = 3
ROBUSTNESS_PAIRS = 300
#: Numbers of MobileFaceNet's vectors.
VECTOR_NUMBERS = 192
#: Views that a timed run of an embedder takes: as many as the engine gives it at once.
VIEWS_A_RUN = 4
#: Pairs by how sure the embedder is of their two faces: a name, and the share of all pairs that it is surer of.
_CERTAINTY = (
    ("surest, 10 %", 0.0),
    ("sure, 40 %", 0.1),
    ("less sure, 40 %", 0.5),
    ("unsure, 8 %", 0.9),
    ("least sure, 2 %", 0.98),
)

Vectors = NDArray[np.float32]
People = NDArray[np.int64]
Scores = NDArray[np.float64]
Versions = Mapping[str, Callable[[NDArray[np.uint8]], bytes]]


def measure(data: Path) -> dict[str, Any]:
    pairs = read_pairs(data / "pairs.csv")
    engine = Engine("standard", threads=1)
    views = embed_views(data, pairs, engine)
    whole = views.mean(axis=1)
    learn = partial(learn_shipped, lengths=engine.lengths)
    scores = cross_fitted_scores(whole, pairs.people, learn=learn)
    record = {
        "data": {
            "photos": len(pairs.photos),
            "people": int(pairs.people.max()) + 1,
            "labelled_pairs": len(pairs),
        },
        "steps": [judged(pairs, step) for step in steps(views, engine.lengths)],
        "rates": rates(pairs, scores),
        "splits": splits(pairs, whole, scores, learn),
        "certainty": certainty(pairs, whole, scores, engine.lengths),
        "robustness": robustness(data, pairs),
    }
    return with_times(record, engine)


def embed_views(data: Path, pairs: PairSet, engine: Engine) -> Vectors:
    """The vector of every view (N, V, D) of the central face of each photo."""
    engine.warm_up()

    def work(name: str) -> Vectors:
        image = open_image((data / name).read_bytes(), name=name, limits=ImageLimits())
        seen = analyse(
            engine,
            image,
            most=1,
            search_rotations=True,
            quality_filter="NONE",
            watch=Stopwatch(),
            prefer="central",
        )
        face = seen.faces[0]
        return engine.embedder.views(engine.embedder.chips(face.photo, face.points, face.mesh))

    with ThreadPoolExecutor(thread_budget()) as pool:
        return np.stack(list(pool.map(work, pairs.photos)))


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A row of the table of parts.

    A face has so many `views`; `learn` makes a score of the `vectors` (N, D).
    """

    name: str
    views: int
    vectors: Vectors
    learn: Learn


def steps(views: Vectors, lengths: Lengths) -> list[Step]:
    """The pack's `views` (N, V, D), then what is learned of them, one part after the other."""
    own, looks = views.mean(axis=1), views.shape[1]
    return [
        Step("MobileFaceNet's: one view, cosine", looks, own, learn_nothing),
        Step("with the metric", looks, own, learn_metric_alone),
        Step("relative to strangers", looks, own, partial(learn_without_credit, lengths=lengths)),
        Step("**with credit for doubt: `standard`**", looks, own, partial(learn_shipped, lengths=lengths)),
    ]


def learn_nothing(_vectors: Vectors, _people: People) -> Scorer:
    return Scorer()


def learn_metric_alone(vectors: Vectors, people: People) -> Scorer:
    """Cosines of the directions that the metric has turned."""
    metric = learn_metric(vectors, people)
    centre = None if metric.centre is None else metric.centre.astype(np.float32)
    return Scorer(metric=metric.matrix.astype(np.float32), centre=centre)


def learn_without_credit(vectors: Vectors, people: People, *, lengths: Lengths) -> Scorer:
    return learn_scoring(vectors, people, lengths=lengths).scorer(credited=False)


def with_times(record: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """`record` with the time of a view and of a pair, which does not depend on whose the vectors are."""
    generator = np.random.default_rng(0)
    views = generator.standard_normal((600, engine.embedder.looks, VECTOR_NUMBERS)).astype(np.float32)
    taken = milliseconds_a_pair(steps(views, engine.lengths))
    rows = [
        {**row, "milliseconds_a_pair": milliseconds} for row, milliseconds in zip(record["steps"], taken, strict=True)
    ]
    return {**record, "milliseconds_a_view": milliseconds_a_view(engine), "steps": rows}


def milliseconds_a_view(engine: Engine) -> float:
    """The time that the embedder takes a view, on one thread."""
    side_px = engine.embedder.aligner.size_px
    chips = np.zeros((VIEWS_A_RUN, side_px, side_px, 3), np.uint8)
    times = [seconds_taken(partial(engine.embedder.views, chips)) / len(chips) for _ in range(60)]
    return round(float(np.median(times)) * 1e3, 2)


def milliseconds_a_pair(rows: Sequence[Step]) -> list[float]:
    """What it takes each row's score to compare two vectors that were not seen before: both profiles and the rest.

    They take turns, so that what else the machine does costs each as much.
    """
    scorers = [step.learn(step.vectors, np.arange(len(step.vectors)) // 2) for step in rows]
    times = [
        [
            seconds_taken(partial(scorer.score, step.vectors[place], step.vectors[[place + 1]]))
            for scorer, step in zip(scorers, rows, strict=True)
        ]
        for place in range(200)
    ]
    return [round(milliseconds, 3) for milliseconds in (np.median(times, axis=0) * 1e3).tolist()]


def seconds_taken(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def judged(pairs: PairSet, step: Step) -> dict[str, Any]:
    """What the score of `step` accepts of people who were not learned from."""
    assert pairs.folds is not None
    matrix = cross_fitted_scores(step.vectors, pairs.people, learn=step.learn)
    accuracy, error = accuracy_by_fold(matrix[pairs.first, pairs.second], pairs.same, pairs.folds)
    trial = every_pair_of(pairs, matrix)
    return {
        "name": step.name,
        "views": step.views,
        "accuracy": accuracy,
        "accuracy_error": error,
        "accepted": {f"{rate:.0e}": trial.true_accept_rate(rate) for rate in RATES},
    }


def every_pair_of(pairs: PairSet, matrix: Scores) -> Trial:
    first, second = np.triu_indices(len(pairs.photos), k=1)
    people = np.stack([pairs.people[first], pairs.people[second]], axis=1)
    return Trial(np.nan_to_num(matrix[first, second], posinf=1e9), people[:, 0] == people[:, 1], people)


def rates(pairs: PairSet, scores: Scores) -> dict[str, Any]:
    """The errors at each Similarity, on people who were not learned from; the curve is that of the same scores."""
    trial = every_pair_of(pairs, scores)
    finite = trial.impostor[trial.impostor < 1e8]
    calibration = fit_calibration(trial.genuine[trial.genuine < 1e8], finite)
    similarities = every_pair_of(pairs, calibration.similarity(scores))
    fmr, fnmr = similarities.intervals(np.array(LEVELS))
    promised = calibration.false_match_rate(np.array(LEVELS))
    return {
        "genuine_pairs": len(trial.genuine),
        "impostor_pairs": len(trial.impostor),
        "area_under_curve": trial.area_under_curve(),
        "equal_error_rate": calibration.equal_error_rate,
        "measured_down_to": 10.0**calibration.measured_log10_rate,
        "accepted": {f"{rate:.0e}": trial.true_accept_rate(rate) for rate in RATES},
        "at_similarity": [
            {"similarity": level, "promised": float(promise), "fmr": asdict(match), "fnmr": asdict(miss)}
            for level, promise, match, miss in zip(LEVELS, promised, fmr, fnmr, strict=True)
        ],
    }


def splits(pairs: PairSet, vectors: Vectors, scores: Scores, learn: Learn = learn_shipped) -> dict[str, Any]:
    """False match rates on people from whom neither score nor curve was learned, and on those from whom both were.

    Three folds of people teach as `likeness calibrate` learns and the pairs of the two others judge, as often as there
    are folds. `scores` are the cross-fitted ones of all pairs, by which the curve of the pack that ships is fitted.
    """
    folds = photo_folds(pairs)
    labels = np.unique(folds)
    each = []
    for place in range(len(labels)):
        turned = np.roll(labels, -place)
        teaching, judging = (np.isin(folds, part) for part in np.split(turned, [FOLDS_LEARNED_FROM]))
        faces, people = vectors[teaching], pairs.people[teaching]
        curve = curve_of(cross_fitted_scores(faces, people, learn=learn), people)
        measured = false_matches(learn(faces, people), curve, vectors[judging], pairs.people[judging])
        each.append({"learned_from": turned[:FOLDS_LEARNED_FROM].tolist(), **measured})
    curve = curve_of(scores, pairs.people)
    own = false_matches(learn(vectors, pairs.people), curve, vectors, pairs.people)
    rows = []
    for level in SPLIT_LEVELS:
        found = [row["fmr"][f"{level:.0f}"] for row in each]
        rows.append(
            {
                "similarity": level,
                "promised": float(curve.false_match_rate(np.array([level]))[0]),
                "least": min(found),
                "median": float(np.median(found)),
                "most": max(found),
                "people_learned_from": own["fmr"][f"{level:.0f}"],
            }
        )
    return {"each": each, "at_similarity": rows}


def certainty(pairs: PairSet, vectors: Vectors, scores: Scores, lengths: Lengths) -> list[dict[str, Any]]:
    """The errors by how sure the embedder is of a pair's two faces, with the credit for doubt (`scores`) and
    without, at the scores that stand for 80 and 90 over all pairs.
    """
    first, second = np.triu_indices(len(vectors), k=1)
    same = pairs.people[first] == pairs.people[second]
    doubts = Scorer(lengths=lengths).profile(vectors).doubts
    of_both = doubts[first] + doubts[second]
    plain = cross_fitted_scores(vectors, pairs.people, learn=partial(learn_without_credit, lengths=lengths))
    versions = {"with": scores[first, second], "without": plain[first, second]}
    limits = np.quantile(of_both, [share for _, share in _CERTAINTY] + [1.0])
    rows = []
    for (name, _), low, high in zip(_CERTAINTY, limits, limits[1:], strict=False):
        inside = (of_both >= low) & (of_both <= high)
        row: dict[str, Any] = {"name": name}
        for version, values in versions.items():
            at_80, at_90 = np.quantile(values[~same], [1 - 1e-3, 1 - 1e-4])
            row[version] = {
                "fmr_at_80": float((values[inside & ~same] >= at_80).mean()),
                "fmr_at_90": float((values[inside & ~same] >= at_90).mean()),
                "missed_at_90": float((values[inside & same] < at_90).mean()),
            }
        rows.append(row)
    return rows


def photo_folds(pairs: PairSet) -> NDArray[np.str_]:
    """The fold (N,) of each photo: that of its pairs. ValueError where a person is in two folds."""
    assert pairs.folds is not None
    folds = np.empty(len(pairs.photos), dtype=pairs.folds.dtype)
    for places in (pairs.first, pairs.second):
        folds[places] = pairs.folds
    consistent = all(np.array_equal(folds[places], pairs.folds) for places in (pairs.first, pairs.second))
    if not consistent or len(set(zip(pairs.people, folds, strict=True))) != len(np.unique(pairs.people)):
        raise ValueError("a person is in two folds, so folds do not keep people apart")
    return folds


def curve_of(scores: Scores, people: People) -> Calibration:
    """The curve of the `scores` (N, N) of all pairs of faces."""
    first, second = np.triu_indices(len(people), k=1)
    same = people[first] == people[second]
    return fit_calibration(scores[first, second][same], scores[first, second][~same])


def false_matches(scorer: Scorer, curve: Calibration, vectors: Vectors, people: People) -> dict[str, Any]:
    """The share of all pairs of different people that reach each of `SPLIT_LEVELS`."""
    faces = scorer.profile(vectors)
    different = np.triu(people[:, np.newaxis] != people, k=1)
    similarities = curve.similarity(scorer.compare(faces, faces)[different])
    rates = {f"{level:.0f}": float((similarities >= level).mean()) for level in SPLIT_LEVELS}
    return {"impostor_pairs": len(similarities), "fmr": rates}


def robustness(data: Path, pairs: PairSet) -> dict[str, Any]:
    """By how much the Similarity of genuine pairs moves when one photo is encoded or scaled otherwise."""
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
        "source and target change places": {"median": float(np.median(swapped)), "most": float(np.max(swapped))},
        **{name: {"median": float(np.median(m)), "p90": float(np.quantile(m, 0.9))} for name, m in moved.items()},
    }


def similarity(comparer: Comparer, source: Vectors, target: Vectors) -> float:
    return float(comparer.calibration.similarity(comparer.scorer.score(source, target[None]))[0])


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


def tables(record: dict[str, Any]) -> dict[str, str]:
    """The generated parts of the card by name."""
    data, measured = record["data"], record["rates"]
    told = (
        f"{data['photos']:,} photos of {data['people']:,} people; {measured['genuine_pairs']:,} genuine and "
        f"{measured['impostor_pairs']:,} impostor pairs: every photo with every other. Equal error rate "
        f"{measured['equal_error_rate']:.4f}, area under the ROC curve {measured['area_under_curve']:.5f}. Rates under "
        f"{measured['measured_down_to']:.1e} are those of the fitted tail."
    )
    return {
        "rates": told + "\n\n" + rates_table(measured),
        "splits": splits_table(record["splits"]),
        "certainty": certainty_table(record["certainty"]),
        "steps": steps_table(record),
        "robustness": robustness_table(record["robustness"]),
    }


def rates_table(measured: dict[str, Any]) -> str:
    rows = []
    for row in measured["at_similarity"]:
        mark = " (tail)" if row["promised"] < measured["measured_down_to"] else ""
        fmr, fnmr = Rate(**row["fmr"]), Rate(**row["fnmr"])
        rows.append(
            (
                f"{row['similarity']:.0f}",
                f"{row['promised']:.1e}{mark}",
                f"{fmr.value:.1e} ({fmr.low:.1e} to {fmr.high:.1e})",
                f"{fnmr.value:.1%} ({fnmr.low:.1%} to {fnmr.high:.1%})",
            )
        )
    return markdown(
        ("Similarity at least", "false match rate promised", "false match rate, 95 %", "missed, 95 %"), rows
    )


def splits_table(measured: dict[str, Any]) -> str:
    rows = [
        (
            f"{row['similarity']:.0f}",
            *(f"{row[column]:.2e}" for column in ("promised", "least", "median", "most", "people_learned_from")),
        )
        for row in measured["at_similarity"]
    ]
    times = len(measured["each"])
    head = ("Similarity at least", "promised", f"least of {times}", "median", "most", "on the people learned from")
    return markdown(head, rows)


def certainty_table(measured: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for row in measured:
        given, plain = row["with"], row["without"]
        both = [f"{given[column]:.1e} ({plain[column]:.1e})" for column in ("fmr_at_80", "fmr_at_90")]
        rows.append((row["name"], *both, f"{given['missed_at_90']:.1%} ({plain['missed_at_90']:.1%})"))
    return markdown(("how sure it is of both faces", "false match rate at 80", "at 90", "missed at 90"), rows)


def steps_table(record: dict[str, Any]) -> str:
    rows = [
        (
            row["name"],
            f"{row['views'] * record['milliseconds_a_view']:.1f} ms",
            f"{row['milliseconds_a_pair']:.2f} ms",
            f"{row['accuracy']:.4f}",
            *(f"{accepted:.3f}" for accepted in row["accepted"].values()),
        )
        for row in record["steps"]
    ]
    return markdown(("score", "a face", "a pair", "accuracy", *(f"at {rate:.0e}" for rate in RATES)), rows)


def robustness_table(measured: dict[str, Any]) -> str:
    rows = [
        (name, f"{row['median']:.2f}", f"{row.get('p90', row.get('most')):.2f}")
        for name, row in measured.items()
        if name != "pairs"
    ]
    return f"{measured['pairs']} pairs of one person.\n\n" + markdown(
        ("the other photo", "median change", "90 % (places: most)"), rows
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def with_tables(card: str, generated: Mapping[str, str]) -> str:
    """`card` with each generated part between its markers; KeyError for a marker that nothing is made for."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- {found['name']} -->\n\n{generated[found['name']]}\n\n<!-- end -->"

    return re.sub(r"<!-- (?P<name>[a-z]+) -->\n.*?<!-- end -->", part, card, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the standard pack for docs/accuracy.md.")
    parser.add_argument("what", nargs="?", choices=("measure", "time", "tables"), default="measure")
    parser.add_argument("--data", type=Path, default=DATA / "lfw-dev")
    options = parser.parse_args()
    if options.what == "measure":
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(measure(options.data), indent=2) + "\n", "utf-8")
    if options.what == "time":
        record = with_times(json.loads(RECORD.read_text("utf-8")), Engine("standard", threads=1))
        RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    generated = tables(json.loads(RECORD.read_text("utf-8")))
    CARD.write_text(with_tables(CARD.read_text("utf-8"), generated), "utf-8")
    for text in generated.values():
        print(text + "\n")


if __name__ == "__main__":
    main()
