"""The scores of several embedders: added by weight, each from its own numbers of a face's vector."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from likeness.vision.embedding import unit
from likeness.vision.fusion import FusedScorer, Part
from likeness.vision.scoring import Scorer

GENERATOR = np.random.default_rng(12)
FIRST = Scorer(GENERATOR.standard_normal((300, 16)).astype(np.float32), nearest=40, credit=0.3)
SECOND = Scorer(
    GENERATOR.standard_normal((200, 5)).astype(np.float32),
    nearest=20,
    metric=GENERATOR.standard_normal((24, 5)).astype(np.float32),
    centre=unit(np.ones(24)),
)
FUSED = FusedScorer([Part(16, FIRST, 0.6), Part(24, SECOND, 0.4)])
FACES = np.concatenate([unit(GENERATOR.standard_normal((30, size))) for size in (16, 24)], axis=1)

finite = st.floats(-1, 1, width=32)


def vectors(size: int) -> st.SearchStrategy[NDArray[np.float32]]:
    return arrays(np.float32, size, elements=finite).filter(lambda v: float(np.linalg.norm(v)) > 0.1).map(unit)


faces = st.tuples(vectors(16), vectors(24)).map(np.concatenate)


def test_the_score_is_the_weighted_sum() -> None:
    first, second = (
        scorer.compare(scorer.profile(own), scorer.profile(own))
        for scorer, own in ((FIRST, FACES[:, :16]), (SECOND, FACES[:, 16:]))
    )
    found = FUSED.compare(FUSED.profile(FACES), FUSED.profile(FACES))
    apart = ~np.eye(len(FACES), dtype=bool)
    assert np.allclose(found[apart], (0.6 * first + 0.4 * second)[apart])
    assert np.isinf(found[~apart]).all()


@settings(max_examples=50)
@given(a=faces, b=faces)
def test_a_score_is_symmetric(a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    there, back = FUSED.score(a, b[None])[0], FUSED.score(b, a[None])[0]
    assert there == back or abs(there - back) < 1e-9


def test_pairs_and_rows_are_those_of_the_whole_matrix() -> None:
    whole = FUSED.profile(FACES)
    matrix = FUSED.compare(whole, whole)
    rows = np.array([3, 7, 11])
    assert np.allclose(FUSED.compare(whole[rows], whole[2:5])[0], matrix[3, 2:5])
    first, second = np.array([0, 5, 9]), np.array([4, 1, 20])
    assert np.allclose(FUSED.score_pairs(FACES, first, second), matrix[first, second])


def test_one_embedder_alone_is_its_scorer() -> None:
    alone = FusedScorer([Part(16, FIRST)])
    assert np.array_equal(alone.score(FACES[0, :16], FACES[1:, :16]), FIRST.score(FACES[0, :16], FACES[1:, :16]))


@pytest.mark.parametrize("parts", [[], [Part(16, FIRST, 0.0)], [Part(16, FIRST), Part(24, SECOND, -1.0)]])
def test_what_would_count_nothing_is_refused(parts: list[Part]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        FusedScorer(parts)


def test_a_centre_needs_a_metric_of_its_size() -> None:
    strangers = np.eye(8, dtype=np.float32)
    for metric in (None, np.eye(8, dtype=np.float32)):
        with pytest.raises(ValueError, match="a centre of 5 numbers"):
            Scorer(strangers, nearest=3, metric=metric, centre=np.zeros(5, np.float32))
