"""What may be said of an error rate, by the number of errors that it is based on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.claims import LEAST_ERRORS, Claim, claim_of_count, different_people


@pytest.mark.parametrize(
    ("errors", "pairs", "high", "figures"),
    [
        (30, 30_000, 2e-3, "1.0e-03"),
        (29, 30_000, None, "rarer than 1.0e-03"),
        (0, 30_000, 1e-4, "rarer than 1.0e-03"),
        (29, 30_000, 1.5e-3, "rarer than 1.5e-03"),
        (1, 4, 0.9, "rarer than 1.0e+00"),
    ],
)
def test_a_rate_needs_thirty_errors(errors: int, pairs: int, high: float | None, figures: str) -> None:
    assert claim_of_count(errors, pairs, high).in_figures == figures


def test_a_claim_names_the_people_it_is_about() -> None:
    assert Claim(1e-3, "measured").of_pairs == "reached by 1 in 1,000 pairs of different people"
    assert different_people(("group",)) == "different people of the same group"
    of_cells = Claim(1e-4, "measured", different_people(("origin", "sex")))
    assert of_cells.of_pairs == "reached by 1 in 10,000 pairs of different people of the same origin and sex"
    assert Claim(0.9, "measured", of_cells.whom).of_pairs.startswith("as most pairs of different people of the same")


@given(st.integers(1, 10**8).flatmap(lambda pairs: st.tuples(st.integers(0, pairs), st.just(pairs))))
def test_no_rate_is_claimed_below_thirty_errors_and_no_bound_below_the_errors(counts: tuple[int, int]) -> None:
    errors, pairs = counts
    claim = claim_of_count(errors, pairs)
    assert (claim.kind == "measured") == (errors >= LEAST_ERRORS)
    assert claim.rate >= errors / pairs
    assert claim.rate >= min(LEAST_ERRORS, pairs) / pairs
