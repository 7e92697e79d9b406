"""Similarity: the promised rates at every level, monotone, 100 only for the same vector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.faces import single
from likeness.vision.calibration import PROMISE, Calibration

CURVE = Calibration(
    scores=(-1.0, 0.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
    log10_rates=(-0.1, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.5),
    equal_error_rate=0.01,
    measured_log10_rate=-6.0,
)
scores = st.floats(-50, 200, allow_nan=False)


@pytest.mark.parametrize(("score", "similarity"), [(2.0, 50.0), (3.0, 80.0), (4.0, 90.0), (5.0, 95.0), (6.0, 99.0)])
def test_the_promise(score: float, similarity: float) -> None:
    assert CURVE.similarity(score) == pytest.approx(similarity, abs=1e-9)


@pytest.mark.parametrize(("similarity", "log10_rate"), PROMISE)
def test_the_rate_behind_a_similarity(similarity: float, log10_rate: float) -> None:
    assert float(CURVE.false_match_rate(similarity)) == pytest.approx(10**log10_rate)


@given(scores, scores)
def test_a_higher_score_never_has_a_lower_similarity(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= CURVE.similarity(low) <= CURVE.similarity(high) <= 100


@given(scores)
def test_only_the_same_vector_reaches_a_hundred_as_it_is_printed(score: float) -> None:
    assert single(float(CURVE.similarity(score))) < 100
    assert CURVE.similarity(np.inf) == 100


@given(st.floats(0.5, 99.99))
def test_rate_and_similarity_are_one_curve_read_both_ways(similarity: float) -> None:
    rate = float(CURVE.false_match_rate(similarity))
    grid = np.linspace(-3, 20, 40_001)
    reached = grid[CURVE.similarity(grid) >= similarity]
    assert float(CURVE.log10_false_match_rate_at_score(reached[0])) == pytest.approx(np.log10(rate), abs=0.002)


def test_the_equal_error_point_is_fifty() -> None:
    other = Calibration(CURVE.scores, CURVE.log10_rates, 0.05, -6.0)
    score = float(np.interp(-np.log10(0.05), -np.array(CURVE.log10_rates), CURVE.scores))
    assert other.similarity(score) == pytest.approx(50)


def test_no_stranger_has_the_same_vector() -> None:
    assert CURVE.false_match_rate(100) == 0


def test_shapes_are_kept() -> None:
    assert CURVE.similarity(np.zeros((2, 3))).shape == (2, 3)
    assert CURVE.false_match_rate(np.zeros(4)).shape == (4,)
    assert CURVE.similarity(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (((0.0,), (-1.0,), 0.01), "at least two"),
        (((0.0, 1.0), (-1.0,), 0.01), "as many"),
        (((0.0, 0.0), (-1.0, -2.0), 0.01), "at every knot"),
        (((0.0, 1.0), (-2.0, -1.0), 0.01), "at every knot"),
        (((0.0, float("nan")), (-1.0, -2.0), 0.01), "at every knot"),
        (((0.0, 1.0), (-1.0, -2.0), 0.0001), "equal error"),
        (((0.0, 1.0), (-1.0, -2.0), 0.6), "equal error"),
        (((0.0, float("inf")), (-1.0, -2.0), 0.01), "must be finite"),
        (((0.0, 1.0), (-1.0, float("-inf")), 0.01), "must be finite"),
        (((0.0, 1.0), (0.5, -2.0), 0.01), "at most 0"),
    ],
)
def test_a_curve_that_makes_no_sense_is_refused(
    curve: tuple[tuple[float, ...], tuple[float, ...], float], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Calibration(*curve, measured_log10_rate=-4.0)


@pytest.mark.parametrize("measured", [float("nan"), float("-inf"), -12.1, 0.1])
def test_a_lowest_measured_rate_that_makes_no_sense_is_refused(measured: float) -> None:
    with pytest.raises(ValueError, match="between -12 and 0"):
        Calibration((0.0, 1.0), (-1.0, -2.0), 0.01, measured)


@pytest.mark.parametrize(
    ("similarity", "kind", "figures", "words"),
    [
        (80.0, "measured", "1.0e-03", "1 in 1,000"),
        (90.0, "measured", "1.0e-04", "1 in 10,000"),
        (95.0, "extrapolated", "1.0e-05 (extrapolated)", "1 in 100,000 (extrapolated)"),
        (99.0, "extrapolated", "1.0e-06 (extrapolated)", "1 in 1,000,000 (extrapolated)"),
        (99.9, "rarer", "rarer than 3.2e-07", "rarer than 1 in 3,200,000"),
        (100.0, "rarer", "rarer than 3.2e-07", "rarer than 1 in 3,200,000"),
    ],
)
def test_nothing_is_claimed_beyond_the_data(similarity: float, kind: str, figures: str, words: str) -> None:
    curve = Calibration(CURVE.scores, CURVE.log10_rates, CURVE.equal_error_rate, measured_log10_rate=-4.5)
    claim = curve.claim(similarity)
    assert claim.kind == kind
    assert claim.in_figures == figures
    assert claim.in_words == words
