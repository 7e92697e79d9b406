"""What a pack's scoring learns from faces: its metric and its strangers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.metric import learn_metric
from likeness.evaluation.strangers import NEAREST, Strangers, draw_strangers
from likeness.vision.embedding import unit
from likeness.vision.scoring import Scorer

#: What a unit of disagreement between the views of a face is worth. Found by measuring on lfw-dev, learned on some
#: people and judged on others: with more, hardly more genuine pairs are accepted (0.002 at a rate of 1e-4 for 0.35),
#: and strangers whose views disagree most reach a Similarity ever more often; docs/accuracy.md says how often.
CREDIT = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class LearnedScoring:
    """The metric (D, D) float16, and strangers drawn among the faces that it has turned."""

    metric: NDArray[np.float16]
    strangers: Strangers

    def scorer(self, *, credit: float = CREDIT) -> Scorer:
        """What scores with them, as the pack will, or with another credit for views that disagree."""
        return Scorer(
            self.strangers.vectors.astype(np.float32),
            nearest=NEAREST,
            metric=self.metric.astype(np.float32),
            credit=credit,
        )


def learn_scoring(vectors: NDArray[np.float32], people: NDArray[np.int64], *, seed: int = 0) -> LearnedScoring:
    """What the faces `vectors` (N, D) of the persons `people` (N,) teach; the same for a seed.

    ValueError for fewer than 500 faces.
    """
    metric = learn_metric(vectors, people)
    turned = unit(vectors.astype(np.float64) @ metric.astype(np.float64))
    return LearnedScoring(metric, draw_strangers(turned, people, seed=seed))
