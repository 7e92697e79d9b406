"""What a pack's scoring learns from faces: the metric and the strangers of each of its embedders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.metric import Metric, learn_metric
from likeness.evaluation.strangers import NEAREST, Strangers, check_enough, draw_strangers
from likeness.vision.embedding import Lengths, VectorPart
from likeness.vision.fusion import FusedScorer, Part
from likeness.vision.scoring import Scorer

#: What a unit of doubt about a face is worth, by what the lengths of its vectors say. Found by measuring on lfw-dev,
#: learned on some people and judged on others. With more, more genuine pairs are accepted (0.002 and 0.004 at a rate of
#: 1e-4, for 0.35 and 1.5), but strangers of whose faces the network is least sure reach a Similarity ever more often:
#: one pair in fifty has six times the promised false match rate at 80 with 1.5. docs/accuracy.md has it for these.
CREDITS: Mapping[Lengths, float] = MappingProxyType({"agreement": 0.2, "certainty": 0.5})
#: How much the first and the second embedder's scores count, where there are two. Found by measuring in the same way:
#: from 0.5 to 0.8 for the first the rates differ by less than what people drawn anew would change.
WEIGHTS = (0.6, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedPart:
    """What was learned of one embedder's vectors: the metric, and strangers drawn among the faces that it has turned;
    `weight` is what its scores count.
    """

    vectors: VectorPart
    metric: Metric
    strangers: Strangers
    weight: float = 1.0

    @property
    def credit(self) -> float:
        """What a unit of doubt about a face is worth."""
        return CREDITS[self.vectors.lengths]

    def part(self, *, credited: bool = True) -> Part:
        """The part of the scorer that uses it, or one without credit for doubt."""
        scorer = Scorer(
            self.strangers.vectors.astype(np.float32),
            nearest=NEAREST,
            metric=self.metric.matrix.astype(np.float32),
            centre=None if self.metric.centre is None else self.metric.centre.astype(np.float32),
            credit=self.credit if credited else 0.0,
            lengths=self.vectors.lengths,
        )
        return Part(self.vectors.size, scorer, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedScoring:
    """What was learned of each embedder's vectors."""

    parts: tuple[LearnedPart, ...]

    def scorer(self, *, credited: bool = True) -> FusedScorer:
        """What scores with them, as the pack will, or without credit for doubt."""
        return FusedScorer([part.part(credited=credited) for part in self.parts])


def learn_scoring(
    vectors: NDArray[np.float32],
    people: NDArray[np.int64],
    *,
    parts: Sequence[VectorPart] = (VectorPart(0),),
    seed: int = 0,
) -> LearnedScoring:
    """What the faces `vectors` (N, D) of the persons `people` (N,) teach; the same for a seed.

    `parts` are the embedders' shares of the D numbers, one after the other (the last has what is left). ValueError for
    fewer than 500 faces.
    """
    check_enough(len(vectors))
    weights = WEIGHTS if len(parts) == len(WEIGHTS) else (1.0,) * len(parts)
    own = np.split(vectors, np.cumsum([part.size for part in parts])[:-1], axis=1)
    learned = []
    for some, part, weight in zip(own, parts, weights, strict=True):
        metric = learn_metric(some, people)
        learned.append(LearnedPart(part, metric, draw_strangers(metric.turned(some), people, seed=seed), weight))
    return LearnedScoring(tuple(learned))
