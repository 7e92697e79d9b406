"""The curve: tails of known shape are recovered, and the rates hold on scores outside the fit."""

import numpy as np
import pytest

from likeness.evaluation.curve import Ranked, cell_weights, fit_calibration, fit_tail

GENERATOR = np.random.default_rng(8)


def test_an_exponential_tail_is_extrapolated() -> None:
    tail = fit_tail(Ranked.of(GENERATOR.exponential(2.0, 1_000_000)))
    assert tail.shape < 0.1
    # An exponential score is reached with the rate exp(-score / 2).
    for rate in (1e-4, 1e-5, 1e-6):
        assert tail.score(rate) == pytest.approx(-2 * np.log(rate), rel=0.1)


def test_a_heavy_tail_is_seen_to_be_heavy() -> None:
    tail = fit_tail(Ranked.of(GENERATOR.pareto(4.0, 1_000_000)))
    assert tail.shape == pytest.approx(0.25, abs=0.08)
    assert tail.score(1e-6) == pytest.approx((1e-6) ** -0.25 - 1, rel=0.25)


def test_a_tail_that_ends_is_replaced_by_an_exponential_one() -> None:
    tail = fit_tail(Ranked.of(GENERATOR.uniform(0, 1, 200_000)))
    assert tail.shape == 0
    assert tail.score(1e-12) > 1


def test_the_promise_holds_on_other_pairs() -> None:
    calibration = fit_calibration(GENERATOR.normal(6, 1.5, 5_000), GENERATOR.normal(0, 1, 2_000_000))
    others = calibration.similarity(GENERATOR.normal(0, 1, 2_000_000))
    assert (others >= 80).mean() == pytest.approx(1e-3, rel=0.1)
    assert (others >= 90).mean() == pytest.approx(1e-4, rel=0.3)
    assert (others >= 95).mean() == pytest.approx(1e-5, rel=0.8)


def test_fifty_is_where_both_errors_are_as_common() -> None:
    genuine, impostor = GENERATOR.normal(4, 1, 20_000), GENERATOR.normal(0, 1, 500_000)
    calibration = fit_calibration(genuine, impostor)
    # Two normal distributions four apart cross at two: 2.275 % on either side.
    assert calibration.equal_error_rate == pytest.approx(0.02275, rel=0.05)
    assert calibration.similarity(2.0) == pytest.approx(50, abs=1.5)


def test_a_network_that_hardly_errs_still_has_fifty_below_eighty() -> None:
    calibration = fit_calibration(GENERATOR.normal(9, 1, 5_000), GENERATOR.normal(0, 1, 200_000))
    assert calibration.equal_error_rate == 0.002


def test_what_the_pairs_cannot_show_is_marked() -> None:
    calibration = fit_calibration(GENERATOR.normal(4, 1, 1_000), GENERATOR.normal(0, 1, 200_000))
    assert calibration.measured_log10_rate == pytest.approx(np.log10(30 / 200_000), abs=0.01)


def test_one_photo_twice_does_not_bend_the_curve() -> None:
    genuine, impostor = GENERATOR.normal(4, 1, 1_000), GENERATOR.normal(0, 1, 200_000)
    with_twins = fit_calibration(np.append(genuine, np.inf), np.append(impostor, [np.inf, np.inf]))
    assert with_twins == fit_calibration(genuine, impostor)


@pytest.mark.parametrize(
    ("genuine", "impostor", "why"), [(50, 200_000, "genuine"), (500, 50_000, "too few for a tail")]
)
def test_too_few_pairs(genuine: int, impostor: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fit_calibration(GENERATOR.normal(6, 1, genuine), GENERATOR.normal(0, 1, impostor))


def test_every_cell_counts_alike_however_many_pairs_it_has() -> None:
    cells = np.repeat([0, 1], [1_000_000, 100_000])
    impostor = np.concatenate([GENERATOR.normal(0, 1, 1_000_000), GENERATOR.normal(1, 1, 100_000)])
    calibration = fit_calibration(GENERATOR.normal(7, 1, 5_000), impostor, cell_weights(cells))
    similarities = calibration.similarity(impostor)
    rates = [(similarities[cells == cell] >= 80).mean() for cell in (0, 1)]
    assert np.mean(rates) == pytest.approx(1e-3, rel=0.02)
    assert rates[1] > 5 * rates[0]
    # A pair of the small cell weighs ten times as much, so thirty pairs show less.
    assert calibration.measured_log10_rate > np.log10(30 / 1_100_000) + 0.5
