"""Errors counted block by block equal those of all pairs at once; intervals resample people, not pairs."""

import numpy as np
import pytest

from likeness.evaluation.differential import differential
from likeness.evaluation.error_counts import ErrorCounts
from likeness.evaluation.rates import Trial

LEVELS = (50.0, 80.0, 99.0)


def pairs(people: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Two photos of each person, every pair; people differ in how alike they are to all others."""
    generator = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(people), 2)
    first, second = np.triu_indices(len(numbers), k=1)
    alike = generator.normal(0, 8, people)
    same = numbers[first] == numbers[second]
    noise = generator.normal(0, 10, len(first))
    values = np.where(same, 85.0, 35.0 + alike[numbers[first]] + alike[numbers[second]]) + noise
    return np.clip(values, 0, 99.99), same, numbers[first], numbers[second]


def test_rates_are_those_of_the_trial_however_the_pairs_come() -> None:
    similarities, same, first, second = pairs(60)
    counts = ErrorCounts(60, LEVELS)
    for part in np.array_split(np.random.default_rng(1).permutation(len(same)), 7):
        counts.add(similarities[part], same[part], first[part], second[part])
    trial = Trial(similarities, same, np.stack([first, second], axis=1))
    assert counts.pairs == (60, 60 * 59 * 2)
    assert [rate.value for rate in counts.false_match_rates()] == pytest.approx(
        [trial.false_match_rate(level) for level in LEVELS]
    )
    assert [rate.value for rate in counts.false_non_match_rates()] == pytest.approx(
        [trial.false_non_match_rate(level) for level in LEVELS]
    )
    assert counts.false_matches()[0] == round(trial.false_match_rate(50) * 60 * 59 * 2)


@pytest.mark.parametrize("people", [60, 300])
def test_intervals_are_those_of_drawing_people(people: int) -> None:
    similarities, same, first, second = pairs(people)
    counts = ErrorCounts(people, LEVELS)
    counts.add(similarities, same, first, second)
    rate = counts.false_match_rates()[0]
    (whole,), _ = Trial(similarities, same, np.stack([first, second], axis=1)).intervals(np.array([50.0]))
    low, high = rate.low or 0.0, rate.high or 0.0
    assert 0 < low < rate.value < high
    assert high - low == pytest.approx((whole.high or 0.0) - (whole.low or 0.0), rel=0.3)
    # People who are alike to everybody make it far wider than independent pairs would.
    independent = 4 * np.sqrt(rate.value / len(same))
    assert high - low > 2 * independent


def test_no_error_is_bounded_by_the_rule_of_three() -> None:
    similarities, same, first, second = pairs(60)
    counts = ErrorCounts(60, (99.995,))
    counts.add(similarities, same, first, second)
    (rate,) = counts.false_match_rates()
    assert (rate.value, rate.low) == (0, 0)
    assert rate.high == pytest.approx(3 / (60 * 59 * 2))


def test_a_cell_without_genuine_pairs_has_no_interval() -> None:
    similarities, same, first, second = pairs(60)
    counts = ErrorCounts(60, LEVELS)
    counts.add(similarities[~same], same[~same], first[~same], second[~same])
    assert [(rate.low, rate.high) for rate in counts.false_non_match_rates()] == [(None, None)] * 3


def test_the_curve_falls_and_rises() -> None:
    similarities, same, first, second = pairs(60)
    counts = ErrorCounts(60, LEVELS)
    counts.add(similarities, same, first, second)
    thresholds, fmr, fnmr = counts.curve()
    assert (np.diff(fmr) <= 0).all()
    assert (np.diff(fnmr) >= 0).all()
    place = int(np.searchsorted(thresholds, 50.0))
    assert thresholds[place] == 50
    assert fmr[place] == pytest.approx(counts.false_match_rates()[0].value)
    assert fnmr[place] == pytest.approx(counts.false_non_match_rates()[0].value)


def test_measures_of_inequality() -> None:
    even = differential([1e-3, 1e-3, 1e-3], [0.02, 0.02, 0.02])
    assert (even.max_over_geometric_mean, even.max_over_min, even.fdr) == pytest.approx((1, 1, 1))
    assert even.garbe == pytest.approx(0)
    uneven = differential([1e-3, 4e-3], [0.02, 0.06])
    assert uneven.max_over_geometric_mean == pytest.approx(2)
    assert uneven.max_over_min == pytest.approx(4)
    assert uneven.fdr == pytest.approx(1 - (0.5 * 0.003 + 0.5 * 0.04))
    # Gini of (1, 4) with the correction for two: 2 * (2 * 3) / (2 * 4 * 2.5) = 0.6; of (2, 6): 0.5.
    assert uneven.garbe == pytest.approx((0.6 + 0.5) / 2)


def test_a_ratio_has_the_interval_of_people_drawn_anew() -> None:
    drawn = np.stack([np.full(200, 1e-3), np.linspace(1e-3, 4e-3, 200)])
    low, high = differential([1e-3, 4e-3], [], drawn).interval or (0, 0)
    assert (low, high) == pytest.approx((1.0, 2.0), abs=0.05)
    drawn[1, ::10] = 0.0
    drawn[:, 0] = 0.0
    assert differential([1e-3, 4e-3], [], drawn).interval == (pytest.approx(low, abs=0.05), None)
    counts = [ErrorCounts(50, (50.0, 80.0)) for _ in range(2)]
    for each in counts:
        each.add(np.full(4, 85.0), np.zeros(4, bool), np.arange(4), np.arange(4, 8))
    first, second = (each.drawn_false_match_rates(seed) for seed, each in enumerate(counts))
    assert first.shape == (2, 500)
    assert not np.array_equal(first, second), "the people of two cells are drawn by themselves"


def test_a_cell_without_false_matches_has_no_ratio() -> None:
    none = differential([0.0, 1e-3], [])
    assert none.max_over_min is None
    assert none.max_over_geometric_mean is None
    assert none.fdr == pytest.approx(1 - 1e-3)
