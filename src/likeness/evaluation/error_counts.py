"""Counts errors while pairs are scored, in constant memory: rates, intervals, curves.

Errors of pairs that share a person are correlated, so the bootstrap resamples people, not pairs. The people are divided
into blocks of one or a few, and pairs are counted by the blocks of their two people.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.rates import ROUNDS, Rate, Scores, interval

#: The most blocks of people.
_MOST_BLOCKS = 200
#: The edges of the histograms of Similarity, finer where rates fall quickly, up to the highest below 100.
EDGES = np.concatenate(
    [np.arange(0.0, 50.0, 0.25), np.arange(50.0, 99.0, 0.05), 100.0 - 0.5 ** (np.arange(0, 14, 0.05))]
)

_COUNTED = ("impostor", "false", "genuine", "missed", "histograms")


class ErrorCounts:
    """The pairs of one cell: the number of each kind, their errors at each of `levels`, and histograms of their
    Similarities. `people` is the number of persons, who are numbered from 0.
    """

    def __init__(self, people: int, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)
        self.people = people
        self._blocks = min(people, _MOST_BLOCKS)
        self._block_of = np.random.default_rng(0).permutation(people) % self._blocks
        self._impostor = np.zeros(self._blocks**2)
        self._false = np.zeros((len(self.levels), self._blocks**2))
        self._genuine = np.zeros(self._blocks)
        self._missed = np.zeros((len(self.levels), self._blocks))
        self._histograms = np.zeros((2, len(EDGES)))

    @property
    def pairs(self) -> tuple[int, int]:
        """The numbers of genuine and impostor pairs."""
        return int(self._genuine.sum()), int(self._impostor.sum())

    def add(
        self, similarities: Scores, same: NDArray[np.bool_], first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> None:
        """Counts pairs (P,): their Similarities, whether they show one person, and the numbers of their persons."""
        codes = self._block_of[first] * self._blocks + self._block_of[second]
        size = self._blocks**2
        self._impostor += np.bincount(codes[~same], minlength=size)
        self._genuine += np.bincount(self._block_of[first[same]], minlength=self._blocks)
        for row, level in enumerate(self.levels):
            reached = similarities >= level
            self._false[row] += np.bincount(codes[reached & ~same], minlength=size)
            self._missed[row] += np.bincount(self._block_of[first[~reached & same]], minlength=self._blocks)
        for row, kind in enumerate((~same, same)):
            places = np.searchsorted(EDGES, similarities[kind], side="right") - 1
            self._histograms[row] += np.bincount(np.maximum(places, 0), minlength=len(EDGES))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """All counts, for `restore`."""
        return {name: getattr(self, f"_{name}") for name in _COUNTED}

    def restore(self, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Continues from the result of `arrays` for the same number of people and the same levels."""
        for name in _COUNTED:
            setattr(self, f"_{name}", arrays[name])

    def false_match_rates(self) -> list[Rate]:
        """FMR at each level, with its 95 % interval."""
        pairs = int(self._impostor.sum())
        values = self._false.sum(axis=1) / max(pairs, 1)
        drawn = self.drawn_false_match_rates()
        return [interval(float(value), rates, pairs) for value, rates in zip(values, drawn, strict=True)]

    def drawn_false_match_rates(self, seed: int = 0) -> NDArray[np.float64]:
        """FMR at each level, (levels, rounds), with the people resampled in each round."""
        weights = self._weights(seed)

        def drawn(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(
                np.einsum("rg,gh,rh->r", weights, pairs.reshape(self._blocks, -1), weights, optimize=True)
            )

        return np.stack([drawn(false) for false in self._false]) / np.maximum(drawn(self._impostor), 1.0)

    def false_non_match_rates(self) -> list[Rate]:
        """FNMR at each level, with its 95 % interval."""
        weights = self._weights()
        drawn = np.maximum(weights @ self._genuine, 1.0)
        pairs = int(self._genuine.sum())
        return [interval(float(row.sum() / max(pairs, 1)), weights @ row / drawn, pairs) for row in self._missed]

    def false_matches(self) -> list[int]:
        """The number of impostor pairs that reach each level."""
        return [int(count) for count in self._false.sum(axis=1)]

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The Similarities `EDGES`, and FMR and FNMR with each as the threshold, in arrays of the same length."""
        impostor, genuine = self._histograms
        beyond = np.cumsum(impostor[::-1])[::-1] / max(impostor.sum(), 1.0)
        below = (np.cumsum(genuine) - genuine) / max(genuine.sum(), 1.0)
        return EDGES, np.asarray(beyond), np.asarray(below)

    def _weights(self, seed: int = 0) -> NDArray[np.float64]:
        """How often each block is drawn in each round, (rounds, blocks)."""
        even = np.full(self._blocks, 1 / self._blocks)
        return np.random.default_rng(seed).multinomial(self._blocks, even, size=ROUNDS).astype(np.float64)
