"""Cross-fitted scores: each pair of faces is scored with a cohort drawn without its two people."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.cohort import NEAREST, draw_cohort
from likeness.evaluation.rates import Scores
from likeness.vision.scoring import Scorer

#: Creates a scorer from faces (N, D), their persons (N,) and groups (N,).
Learn = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]], Scorer]

#: The parts into which the people are divided; each cohort is drawn from all but two of them.
PARTS = 6


@dataclass(frozen=True, slots=True, eq=False)
class GroupedFaces:
    """The `vectors` (N, D) of faces, and the person (N,) and the group (N,) of each."""

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    groups: NDArray[np.str_]


def default_scorer(vectors: NDArray[np.float32], people: NDArray[np.int64], groups: NDArray[np.str_]) -> Scorer:
    """The scorer of a pack calibrated with these faces. ValueError for fewer than 500."""
    return Scorer(draw_cohort(vectors, people, groups).vectors.astype(np.float32), nearest=NEAREST)


def cross_fitted_scores(
    faces: GroupedFaces,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    learn: Learn = default_scorer,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Scores:
    """Scores (P,) of the pairs `first`, `second` (P,), which index the `faces`.

    People are divided into parts by `seed`. A pair of faces from two parts is scored by a model of the other parts; for
    a pair within a part, one more part is left out. The scores are therefore those of held-out people. `advance` is
    called after each of the `PARTS * (PARTS - 1) / 2` models.
    """
    parts = parts_of(faces.people, seed)
    models = model_of(parts[first], parts[second])
    scores = np.empty(len(first))
    for one in range(PARTS):
        for other in range(one + 1, PARTS):
            chosen = np.flatnonzero(models == one * PARTS + other)
            training = (parts != one) & (parts != other)
            scorer = learn(faces.vectors[training], faces.people[training], faces.groups[training])
            places, rows = np.unique(np.concatenate([first[chosen], second[chosen]]), return_inverse=True)
            scores[chosen] = scorer.score_pairs(faces.vectors[places], rows[: len(chosen)], rows[len(chosen) :])
            advance()
    return scores


def model_of(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The model (P,) that scores pairs of faces of the parts `a` and `b` (P,), as a number: the lower left-out part
    times PARTS plus the higher. For a pair within a part, the next part is left out as well.
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    neighbour = np.where(low == high, (low + 1) % PARTS, high)
    return np.asarray(np.minimum(low, neighbour) * PARTS + np.maximum(low, neighbour))


def parts_of(people: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """The part (N,) of each face's person; the parts have equal numbers of people."""
    numbers, places = np.unique(people, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    dealt = np.empty(len(numbers), dtype=np.int64)
    dealt[order] = np.arange(len(numbers)) % PARTS
    return dealt[places]
