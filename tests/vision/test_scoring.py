"""Scores: symmetric, infinite only for the same vector, relative to the cohort's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from likeness.vision.embedding import unit
from likeness.vision.scoring import SINGLE_PRECISION_ERROR, Scorer

GENERATOR = np.random.default_rng(11)
COHORT = GENERATOR.standard_normal((300, 16)).astype(np.float32)
FACES = unit(GENERATOR.standard_normal((40, 16)))
SCORERS = [
    Scorer(),
    Scorer(COHORT, nearest=40),
]

finite = st.floats(-1, 1, width=32)


def score(scorer: Scorer, source: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores (N,) of one vector (D,) with each of `targets` (N, D)."""
    scores: NDArray[np.float64] = scorer.compare(scorer.profile(source[np.newaxis]), scorer.profile(targets))[0]
    return scores


directions = arrays(np.float32, 16, elements=finite).filter(lambda v: float(np.linalg.norm(v)) > 0.1).map(unit)


@pytest.mark.parametrize("scorer", SCORERS)
@settings(max_examples=50)
@given(a=directions, b=directions)
def test_a_score_is_symmetric(scorer: Scorer, a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    there, back = score(scorer, a, b[None])[0], score(scorer, b, a[None])[0]
    assert there == back or abs(there - back) < 1e-9


@pytest.mark.parametrize("scorer", SCORERS)
def test_only_the_same_vector_scores_without_end(scorer: Scorer) -> None:
    assert score(scorer, FACES[0], FACES[:1])[0] == np.inf
    nearly = unit(FACES[0] + np.float32(0.005) * FACES[1])
    nearer = unit(FACES[0] + np.float32(0.0002) * FACES[1])
    scores = score(scorer, FACES[0], np.stack([nearly, FACES[2]]))
    assert np.isfinite(scores).all()
    assert scores[0] > scores[1]
    # Vectors that single precision cannot distinguish are the same.
    assert score(scorer, FACES[0], nearer[None])[0] == np.inf


@pytest.mark.parametrize("scorer", SCORERS)
def test_one_pair_many_targets_and_whole_matrices_agree(scorer: Scorer) -> None:
    matrix = scorer.compare(scorer.profile(FACES), scorer.profile(FACES))
    off_diagonal = ~np.eye(len(FACES), dtype=bool)
    rows = np.stack([score(scorer, face, FACES) for face in FACES])
    assert np.allclose(matrix[off_diagonal], rows[off_diagonal], atol=1e-9)
    first, second = np.nonzero(np.triu(off_diagonal))
    mixed = GENERATOR.permutation(len(first))[:100]
    assert np.allclose(
        scorer.score_pairs(FACES, first[mixed], second[mixed]), matrix[first[mixed], second[mixed]], atol=1e-9
    )
    assert scorer.score_pairs(FACES, first[:0], second[:0]).shape == (0,)


@pytest.mark.parametrize("scorer", SCORERS)
def test_some_pairs_have_the_very_scores_of_the_matrix(scorer: Scorer) -> None:
    a, b = scorer.profile(FACES), scorer.profile(FACES[::-1])
    rows, columns = np.indices((len(FACES), len(FACES))).reshape(2, -1)
    assert np.array_equal(scorer.score_some(a, b, rows, columns), scorer.compare(a, b).ravel())


@pytest.mark.parametrize("scorer", SCORERS)
def test_single_precision_is_as_near_as_it_says(scorer: Scorer) -> None:
    faces = np.concatenate([FACES, unit(FACES + np.float32(0.01) * FACES[::-1])])
    profile = scorer.profile(faces)
    exact = scorer.compare(profile, profile)
    single = scorer.compare(profile.in_single_precision(), profile.in_single_precision())
    assert single.dtype == np.float32
    finite = np.isfinite(exact)
    assert np.isposinf(single[~finite]).all()
    assert np.abs(single[finite] - exact[finite]).max() < SINGLE_PRECISION_ERROR / 10


def test_blocks_do_not_show() -> None:
    many = unit(GENERATOR.standard_normal((600, 16)))
    scorer = SCORERS[1]
    matrix = scorer.compare(scorer.profile(many), scorer.profile(many))
    assert matrix.shape == (600, 600)
    for row in (0, 255, 256, 599):
        others = np.arange(600) != row
        assert np.allclose(matrix[row, others], score(scorer, many[row], many[others]), atol=1e-9)


def test_without_a_cohort_the_score_is_the_cosine() -> None:
    assert np.allclose(score(SCORERS[0], FACES[0], FACES[1:]), FACES[1:] @ FACES[0], atol=1e-6)


def test_more_alike_scores_higher() -> None:
    mixes = np.stack([unit(FACES[0] * np.float32(t) + FACES[1] * np.float32(1 - t)) for t in np.linspace(0, 0.9, 10)])
    scores = np.array([score(SCORERS[1], FACES[0], mix[None])[0] for mix in mixes])
    assert (np.diff(scores) > 0).all()


def test_a_face_that_resembles_everybody_gains_less_by_it() -> None:
    generator = np.random.default_rng(0)
    centre = unit(generator.standard_normal(64))
    crowd = unit(centre + unit(generator.standard_normal((400, 64))))
    cohort, people = crowd[:300], crowd[300:]
    hub, ordinary = unit(centre + np.float32(0.3) * people[0]), people[1]

    def advantage(scorer: Scorer) -> float:
        """How many standard deviations nearer other people are to the hub than to an ordinary face."""
        to_hub, to_ordinary = score(scorer, hub, people[2:]), score(scorer, ordinary, people[2:])
        return float((to_hub.mean() - to_ordinary.mean()) / to_ordinary.std())

    assert advantage(Scorer()) > 2
    assert advantage(Scorer(cohort, nearest=60)) < 0.75 * advantage(Scorer())


def test_the_length_of_the_cohort_does_not_matter() -> None:
    scaled = Scorer(COHORT * np.float32(7), nearest=40)
    assert np.allclose(score(scaled, FACES[0], FACES[1:]), score(SCORERS[1], FACES[0], FACES[1:]), atol=1e-6)


@pytest.mark.parametrize("scorer", SCORERS)
def test_pairs_and_rows_are_those_of_the_whole_matrix(scorer: Scorer) -> None:
    vectors = FACES[:30]
    whole = scorer.profile(vectors)
    matrix = scorer.compare(whole, whole)
    rows = np.array([3, 7, 11])
    assert np.allclose(scorer.compare(whole[rows], whole[2:5])[0], matrix[3, 2:5])
    first, second = np.array([0, 5, 9]), np.array([4, 1, 20])
    assert np.allclose(scorer.score_pairs(vectors, first, second), matrix[first, second])


def test_tiles_do_not_show_in_wide_rows() -> None:
    many = unit(GENERATOR.standard_normal((2100, 16)))
    scorer = SCORERS[1]
    row = scorer.compare(scorer.profile(many[:2]), scorer.profile(many))
    assert row.shape == (2, 2100)
    assert np.allclose(row[0, 2040:], scorer.compare(scorer.profile(many[:2]), scorer.profile(many[2040:]))[0])


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 300))
def test_a_score_does_not_depend_on_what_is_compared_beside_it(seed: int, sources: int, targets: int) -> None:
    chance = np.random.default_rng(seed)
    scorer = Scorer(chance.normal(size=(200, 32)).astype(np.float32), nearest=20)
    first = chance.normal(size=(sources, 32)).astype(np.float32)
    second = chance.normal(size=(targets, 32)).astype(np.float32)
    together = scorer.compare(scorer.profile(first), scorer.profile(second))
    i, j = int(chance.integers(sources)), int(chance.integers(targets))
    alone = scorer.compare(scorer.profile(first[i : i + 1]), scorer.profile(second[j : j + 1]))
    some = scorer.compare(scorer.profile(first), scorer.profile(second[j:]))
    exchanged = scorer.compare(scorer.profile(second), scorer.profile(first))
    assert together[i, j] == alone[0, 0] == some[i, 0] == exchanged[j, i]
