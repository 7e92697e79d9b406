"""What a pack's scoring learns from faces: the metric and the strangers of each of its embedders."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.metric import Metric, learn_metric
from likeness.evaluation.strangers import NEAREST, Strangers, draw_strangers
from likeness.vision.fusion import FusedScorer, Part
from likeness.vision.scoring import Scorer

#: What a unit of disagreement between the views of a face is worth. Found by measuring on lfw-dev, learned on some
#: people and judged on others: with more, hardly more genuine pairs are accepted (0.002 at a rate of 1e-4 for 0.35),
#: and strangers whose views disagree most reach a Similarity ever more often; docs/accuracy.md says how often.
CREDIT = 0.2
#: How much the first and the second embedder's scores count, where there are two. Found by measuring in the same way:
#: from 0.3 to 0.6 for the first the rates differ by less than what people drawn anew would change.
WEIGHTS = (0.5, 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedPart:
    """What was learned of one embedder's vectors, `size` as in `likeness.vision.fusion.Part`: the metric, and strangers
    drawn among the faces that it has turned; `weight` is what its scores count.
    """

    size: int
    metric: Metric
    strangers: Strangers
    weight: float = 1.0

    def part(self, *, credit: float = CREDIT) -> Part:
        """The part of the scorer that uses it, or one with another credit for views that disagree."""
        scorer = Scorer(
            self.strangers.vectors.astype(np.float32),
            nearest=NEAREST,
            metric=self.metric.matrix.astype(np.float32),
            centre=None if self.metric.centre is None else self.metric.centre.astype(np.float32),
            credit=credit,
        )
        return Part(self.size, scorer, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedScoring:
    """What was learned of each embedder's vectors."""

    parts: tuple[LearnedPart, ...]

    def scorer(self, *, credit: float = CREDIT) -> FusedScorer:
        """What scores with them, as the pack will, or with another credit for views that disagree."""
        return FusedScorer([part.part(credit=credit) for part in self.parts])


def learn_scoring(
    vectors: NDArray[np.float32], people: NDArray[np.int64], *, sizes: Sequence[int] | None = None, seed: int = 0
) -> LearnedScoring:
    """What the faces `vectors` (N, D) of the persons `people` (N,) teach; the same for a seed.

    `sizes` says how many of the D numbers each embedder has, one after the other (the last has what is left); None
    stands for one embedder.
    ValueError for fewer than 500 faces.
    """
    sizes = sizes or (vectors.shape[1],)
    weights = WEIGHTS if len(sizes) == len(WEIGHTS) else (1.0,) * len(sizes)
    own = np.split(vectors, np.cumsum(sizes)[:-1], axis=1)
    parts = []
    for some, size, weight in zip(own, sizes, weights, strict=True):
        metric = learn_metric(some, people)
        parts.append(LearnedPart(size, metric, draw_strangers(metric.turned(some), people, seed=seed), weight))
    return LearnedScoring(tuple(parts))
