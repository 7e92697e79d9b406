"""False match and false non-match rates, and their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.evaluation.rates import Trial, accuracy_by_fold, interval


def trial(genuine: list[float], impostor: list[float]) -> Trial:
    scores = np.array(genuine + impostor, dtype=np.float64)
    same = np.array([True] * len(genuine) + [False] * len(impostor))
    people = np.arange(2 * len(scores)).reshape(-1, 2)
    people[same, 1] = people[same, 0]
    return Trial(scores, same, people)


def test_rates_count_pairs_on_the_wrong_side_of_the_threshold() -> None:
    t = trial([0.4, 0.6, 0.8, 0.9], [0.1, 0.2, 0.5, 0.7])
    assert t.false_match_rate(0.5) == 0.5  # at the threshold is a match
    assert t.false_match_rate(0.51) == 0.25
    assert t.false_non_match_rate(0.6) == 0.25
    assert t.true_accept_rate(0.25) == 0.75
    assert t.true_accept_rate(0.1) is None  # less than one false match among four pairs
    assert t.area_under_curve() == pytest.approx(13 / 16)
    assert t.equal_error()[0] == pytest.approx(0.25)


def test_pairs_of_both_kinds_are_needed() -> None:
    with pytest.raises(ValueError, match="pairs of two"):
        Trial(np.array([0.5]), np.array([True]), np.array([[0, 0]]))


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.floats(0.01, 1.0),
)
def test_the_threshold_for_a_rate_keeps_it(genuine: list[float], impostor: list[float], rate: float) -> None:
    t = trial(genuine, impostor)
    threshold = t.threshold_at(rate)
    if threshold is None:
        assert rate * len(impostor) < 1
    else:
        assert t.false_match_rate(threshold) <= rate + 1e-9


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_lets_in_fewer_of_both_kinds(scores: list[float], one: float, other: float) -> None:
    t = trial(scores[::2], scores[1::2])
    low, high = sorted((one, other))
    assert t.false_match_rate(low) >= t.false_match_rate(high)
    assert t.false_non_match_rate(low) <= t.false_non_match_rate(high)


def test_intervals_hold_the_rate_and_are_wider_where_one_person_makes_all_the_errors() -> None:
    generator = np.random.default_rng(1)
    first, second = np.triu_indices(60, k=1)
    people = np.stack([first, second], axis=1) // 2
    same = people[:, 0] == people[:, 1]
    spread = generator.random(len(first))
    spread[same] += 1
    by_one = spread.copy()
    by_one[(people[:, 0] == 3) & ~same] += 1  # person 3 looks like everyone
    thresholds = np.array([0.97])
    (even,), _ = Trial(spread, same, people).intervals(thresholds)
    (uneven,), _ = Trial(by_one, same, people).intervals(thresholds)
    for rate in (even, uneven):
        assert rate.low is not None
        assert rate.high is not None
        assert rate.low <= rate.value <= rate.high
    assert (uneven.high or 0) - (uneven.low or 0) > (even.high or 0) - (even.low or 0)


def test_no_error_in_few_pairs_does_not_promise_none() -> None:
    scores = np.concatenate([np.linspace(0, 1, 600), np.linspace(2, 3, 100)])
    same = np.arange(700) >= 600
    people = np.stack([np.arange(700) % 50, np.where(same, np.arange(700) % 50, 50 + np.arange(700) % 40)], axis=1)
    fmr, fnmr = Trial(scores, same, people).intervals(np.array([1.5]))
    assert (fmr[0].value, fmr[0].low, fmr[0].high) == (0, 0, 3 / 600)
    assert fnmr[0].high == 3 / 100


def test_intervals_do_not_change_from_run_to_run() -> None:
    t = trial([0.4, 0.6, 0.8, 0.9], [0.1, 0.2, 0.5, 0.7])
    assert t.intervals(np.array([0.5])) == t.intervals(np.array([0.5]))


def test_accuracy_is_judged_on_a_fold_with_the_threshold_of_the_others() -> None:
    # Fold b lies 0.5 higher: the threshold that is best on a is wrong for its impostors.
    scores = np.array([0.9, 0.8, 0.1, 0.2, 1.4, 1.3, 0.6, 0.7])
    same = np.array([True, True, False, False] * 2)
    folds = np.array(["a"] * 4 + ["b"] * 4)
    accuracy, error = accuracy_by_fold(scores, same, folds)
    assert accuracy == pytest.approx(0.5)
    assert error == pytest.approx(0.0)
    together, _ = accuracy_by_fold(scores, same, np.array(["a", "b"] * 4))
    assert together > accuracy


@pytest.mark.parametrize(("pairs", "high"), [(1, 1.0), (2, 1.0), (3, 1.0), (300, 0.01)])
def test_the_rule_of_three_ends_at_all_pairs(pairs: int, high: float) -> None:
    assert interval(0.0, np.zeros(9), pairs).high == high
