"""What a pack's scoring learns from faces: metric and strangers."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.metric import Metric, learn_metric
from likeness.evaluation.strangers import NEAREST, Strangers, check_enough, draw_strangers
from likeness.vision.embedding import Lengths
from likeness.vision.scoring import Scorer

#: What a unit of doubt about a face is worth, by what the lengths of its vectors say. Found by measuring on lfw-dev,
#: learned on some people and judged on others. With more, more genuine pairs are accepted (0.002 and 0.004 at a rate of
#: 1e-4, for 0.35 and 1.5), but strangers of whose faces the network is least sure reach a Similarity ever more often:
#: one pair in fifty has six times the promised false match rate at 80 with 1.5. docs/accuracy.md has it for these.
CREDITS: Mapping[Lengths, float] = MappingProxyType({"agreement": 0.2, "certainty": 0.5})


@dataclass(frozen=True, slots=True, eq=False)
class LearnedScoring:
    """What was learned of the embedder's vectors, whose lengths say `lengths`: the metric, and strangers drawn among
    the faces that it has turned.
    """

    lengths: Lengths
    metric: Metric
    strangers: Strangers

    @property
    def credit(self) -> float:
        """What a unit of doubt about a face is worth."""
        return CREDITS[self.lengths]

    def scorer(self, *, credited: bool = True) -> Scorer:
        """What scores with it, as the pack will, or without credit for doubt."""
        return Scorer(
            self.strangers.vectors.astype(np.float32),
            nearest=NEAREST,
            metric=self.metric.matrix.astype(np.float32),
            centre=None if self.metric.centre is None else self.metric.centre.astype(np.float32),
            credit=self.credit if credited else 0.0,
            lengths=self.lengths,
        )


def learn_scoring(
    vectors: NDArray[np.float32], people: NDArray[np.int64], *, lengths: Lengths = "agreement", seed: int = 0
) -> LearnedScoring:
    """What the faces `vectors` (N, D) of the persons `people` (N,) teach; the same for a seed.

    `lengths` is what the lengths of the vectors say. ValueError for fewer than 500 faces.
    """
    check_enough(len(vectors))
    metric = learn_metric(vectors, people)
    return LearnedScoring(lengths, metric, draw_strangers(metric.turned(vectors), people, seed=seed))
