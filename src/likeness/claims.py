"""The false match rate that may be claimed for a Similarity, in figures and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: The least number of errors that measures a rate.
LEAST_ERRORS = 30

#: The pairs that a rate refers to, unless it was measured within cells.
DIFFERENT_PEOPLE = "different people"


@dataclass(frozen=True, slots=True)
class Claim:
    """The `rate` of pairs of different people that reach a Similarity: counted ("measured"), from the fitted tail
    ("extrapolated"), or an upper bound, the limit of the tail or of the pairs that were compared ("rarer"); NaN if the
    pack is not calibrated ("unknown"). `whom` names the pairs, see `different_people`.
    """

    rate: float
    kind: Literal["measured", "extrapolated", "rarer", "unknown"]
    whom: str = DIFFERENT_PEOPLE

    @property
    def in_figures(self) -> str:
        """For a table: 1.0e-04, 1.0e-06 (extrapolated), rarer than 4.0e-07."""
        if self.kind == "unknown":
            return "unknown"
        if self.kind == "rarer":
            return f"rarer than {self.rate:.1e}"
        return f"{self.rate:.1e} (extrapolated)" if self.kind == "extrapolated" else f"{self.rate:.1e}"

    @property
    def in_words(self) -> str:
        """For a sentence: 1 in 10,000, 1 in 1,000,000 (extrapolated), rarer than 1 in 2,500,000."""
        if self.kind == "unknown":
            return "unknown: the pack is not calibrated"
        if self.kind == "rarer":
            return f"rarer than {self.one_in}"
        return f"{self.one_in} (extrapolated)" if self.kind == "extrapolated" else self.one_in

    @property
    def of_pairs(self) -> str:
        """For people: reached by 1 in 10,000 pairs of different people of the same origin and sex (extrapolated)."""
        if self.kind == "unknown":
            return "at an unknown false match rate: the pack is not calibrated"
        if self.rate >= 0.5:
            return f"as most pairs of {self.whom} have"
        pairs = f"{self.one_in} pairs of {self.whom}"
        if self.kind == "rarer":
            return f"rarer than {pairs}"
        return f"reached by {pairs}{' (extrapolated)' if self.kind == 'extrapolated' else ''}"

    @property
    def one_in(self) -> str:
        """The rate as a fraction for people, 1 in 10,000."""
        return f"1 in {_round_figure(1 / self.rate)}"


def different_people(within: Sequence[str]) -> str:
    """The pairs that a rate refers to which was measured within cells of people who are alike in `within`: different
    people of the same origin and sex.
    """
    return f"{DIFFERENT_PEOPLE} of the same {' and '.join(within)}" if within else DIFFERENT_PEOPLE


def claim_of_count(errors: int, pairs: int, high: float | None = None) -> Claim:
    """What may be claimed if `errors` of `pairs` (at least 1) are errors; `high` is the end of the 95 % interval.

    Fewer than LEAST_ERRORS errors show only an upper bound: the share that LEAST_ERRORS would be, or `high` if that is
    higher.
    """
    if errors >= LEAST_ERRORS:
        return Claim(errors / pairs, "measured")
    return Claim(min(max(LEAST_ERRORS / pairs, high or 0.0), 1.0), "rarer")


def _round_figure(value: float) -> str:
    """`value` with two significant digits: 1,234 → 1,200."""
    digits = max(len(f"{value:.0f}") - 2, 0)
    return f"{round(value, -digits):,.0f}"
