"""Scores for every pair of faces, each by metric and strangers that were learned without the two people it is about."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.learned_scoring import learn_scoring
from likeness.evaluation.rates import Scores
from likeness.vision.embedding import Lengths
from likeness.vision.scoring import Scorer

#: What makes a scorer of the faces (N, D) of persons (N,).
Learn = Callable[[NDArray[np.float32], NDArray[np.int64]], Scorer]

#: Parts that the people are divided into; what a score needs is learned from all but two of them.
PARTS = 6


def learn_shipped(vectors: NDArray[np.float32], people: NDArray[np.int64], *, lengths: Lengths = "agreement") -> Scorer:
    """The scorer of a pack that was calibrated with these faces, the lengths of whose vectors say `lengths`. ValueError
    for fewer than 500.
    """
    return learn_scoring(vectors, people, lengths=lengths).scorer()


def cross_fitted_scores(
    vectors: NDArray[np.float32], people: NDArray[np.int64], *, learn: Learn = learn_shipped, seed: int = 0
) -> Scores:
    """Scores (N, N), symmetric, of all pairs of the faces `vectors` (N, D) of `people` (N,); the diagonal is NaN.

    People are dealt into parts, by `seed`. A pair of faces from two parts is scored with what was learned from the
    other parts; a pair within a part likewise, without one part more. So what is measured is what strangers to the
    learning get.
    """
    parts = parts_of(people, seed)
    scores = np.full((len(vectors), len(vectors)), np.nan)
    for one, other in combinations(range(PARTS), 2):
        inside = (parts == one) | (parts == other)
        scorer = learn(vectors[~inside], people[~inside])
        places = np.flatnonzero(inside)
        faces = scorer.profile(vectors[places])
        judged = scorer.compare(faces, faces)
        scores[np.ix_(places, places)] = np.where(
            _judged_here(parts[places], one, other), judged, scores[np.ix_(places, places)]
        )
    np.fill_diagonal(scores, np.nan)
    return scores


def parts_of(people: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """The part (N,) of each face's person; a person is in one part only, and the parts hold as many people."""
    numbers, places = np.unique(people, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    dealt = np.empty(len(numbers), dtype=np.int64)
    dealt[order] = np.arange(len(numbers)) % PARTS
    return dealt[places]


def _judged_here(parts: NDArray[np.int64], one: int, other: int) -> NDArray[np.bool_]:
    """Which pairs (n, n) the model without the parts `one` and `other` is for: each pair has one model."""
    across: NDArray[np.bool_] = parts[:, None] != parts[None]
    if other == one + 1:
        across |= (parts[:, None] == one) & (parts[None] == one)
    if (one, other) == (0, PARTS - 1):
        across |= (parts[:, None] == other) & (parts[None] == other)
    return across
