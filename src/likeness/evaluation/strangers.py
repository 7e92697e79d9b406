"""The strangers of a pack: vectors that score normalisation compares with, none of them a person's.

A mixture of normal distributions is fitted to the vectors of real faces and new vectors are drawn from it. What leaves
the evaluation is drawn, not copied, and no drawn vector is nearer to a real face than different people's faces are to
each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Found by measuring on lfw-dev, learned on some people and judged on others. With more components, or narrower ones,
#: the mixture begins to remember the faces that it was fitted to, and those are then judged more harshly than others.
COUNT = 1600
NEAREST = 160
_COMPONENTS = 8
_FEWEST = 500
#: How far the components' covariances are drawn towards their mean: with their own alone, the few hundred faces of each
#: are remembered, and pairs of people who were learned from get two thirds of the false matches that others get at 80
#: and half at 90; halfway, three quarters and two thirds, and as many genuine pairs are accepted. The mean alone costs
#: 0.004 of those at a rate of 1e-3.
_POOLING = 0.5
#: How much wider than the fitted components the drawn vectors are spread, in variance.
_WIDENING = 1.3
#: No stranger is nearer to a real face than this share of pairs of different people are.
_NEAR_SHARE = 1e-4
_KMEANS_ROUNDS = 25


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """Drawn vectors (K, D) as int8, to be scaled to unit length, and the cosine that none has to a real face."""

    vectors: NDArray[np.int8]
    cosine_limit: float


def draw_strangers(vectors: NDArray[np.float32], people: NDArray[np.int64], *, seed: int = 0) -> Strangers:
    """Strangers learned from the faces `vectors` (N, D), of unit length, of the persons `people` (N,).

    Deterministic for a seed. ValueError for fewer than 500 faces, which say too little of a mixture.
    """
    check_enough(len(vectors))
    generator = np.random.default_rng(seed)
    faces = vectors.astype(np.float64)
    limit = near_cosine(faces, people)
    weights, means, roots = _mixture(faces, generator)
    kept: list[NDArray[np.int8]] = []
    while sum(map(len, kept)) < COUNT:
        components = generator.choice(len(weights), size=COUNT, p=weights)
        noise = generator.standard_normal((COUNT, faces.shape[1]))
        drawn = _quantised(means[components] + np.einsum("nij,nj->ni", roots[components], noise))
        kept.append(drawn[(_unit(drawn) @ faces.T).max(axis=1) < limit])
    return Strangers(np.concatenate(kept)[:COUNT], limit)


def check_enough(faces: int) -> None:
    """ValueError where so many faces say too little of a mixture."""
    if faces < _FEWEST:
        raise ValueError(f"{faces} faces are too few to learn strangers from; at least {_FEWEST} are needed")


def near_cosine(faces: NDArray[np.float64], people: NDArray[np.int64]) -> float:
    """The cosine that one in 10,000 pairs of different people among `faces` (N, D) exceeds."""
    chosen = np.arange(len(faces)) if len(faces) <= 4000 else np.random.default_rng(0).permutation(len(faces))[:4000]
    cosines = faces[chosen] @ faces[chosen].T
    different = people[chosen][:, None] != people[chosen][None]
    return float(np.quantile(cosines[np.triu(different, 1)], 1.0 - _NEAR_SHARE))


def _mixture(
    faces: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (G,), means (G, D) and roots of the covariances (G, D, D) of a mixture around k-means centres."""
    labels = _kmeans(faces, generator)
    present = [faces[labels == g] for g in range(_COMPONENTS) if np.any(labels == g)]
    weights = np.array([len(members) for members in present]) / len(faces)
    means = np.stack([members.mean(axis=0) for members in present])
    own = np.stack([np.cov(members, rowvar=False, bias=True) for members in present])
    pooled = np.einsum("g,gij->ij", weights, own)
    covariances = _WIDENING * ((1.0 - _POOLING) * own + _POOLING * pooled)
    return weights, means, np.linalg.cholesky(covariances + 1e-6 * np.eye(len(pooled)))


def _kmeans(faces: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.intp]:
    """The component (N,) of each face, by spherical k-means from random faces."""
    centres = faces[generator.choice(len(faces), _COMPONENTS, replace=False)]
    labels = np.argmax(faces @ centres.T, axis=1)
    for _ in range(_KMEANS_ROUNDS):
        for component in range(_COMPONENTS):
            members = faces[labels == component]
            if len(members):
                centre = members.sum(axis=0)
                centres[component] = centre / np.linalg.norm(centre)
        labels = np.argmax(faces @ centres.T, axis=1)
    return np.asarray(labels, dtype=np.intp)


def _quantised(vectors: NDArray[np.float64]) -> NDArray[np.int8]:
    """Each vector scaled so that its largest number is 127, and rounded: a direction to within half a degree."""
    return np.asarray(np.round(vectors * (127.0 / np.abs(vectors).max(axis=1, keepdims=True))), dtype=np.int8)


def _unit(vectors: NDArray[np.int8]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    return np.asarray(exact / np.linalg.norm(exact, axis=1, keepdims=True))
