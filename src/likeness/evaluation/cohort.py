"""The cohort of a pack: synthetic vectors for score normalisation.

For each group of people a Gaussian mixture is fitted to the vectors of real faces, and the same number of new vectors
is drawn from each mixture. No drawn vector is nearer to a real face of its group than different people of that group
usually are to each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.vision.products import unit

#: Chosen by cross-fitting over people and cells of people-dev and lfw-dev, see docs/accuracy.md.
COUNT = 2000
NEAREST = 160
#: The faces per component of a mixture, and the most components.
_FACES_A_COMPONENT, _MOST_COMPONENTS = 60, 8
#: The least number of faces to fit mixtures to.
FEWEST = 500
#: The share of the pooled covariance in each component's: without pooling, a component would overfit its few faces, and
#: people in the training data would get fewer false matches than others.
_POOLING = 0.5
#: The variance of the drawn vectors as a share of the fitted one. With a lower one, the nearest vectors are nearer to a
#: face, and normalisation subtracts more.
SPREAD = 0.7
#: No drawn vector is nearer to a real face than this share of the group's pairs of different people are to each other.
_NEAR_SHARE = 1e-4
_KMEANS_ROUNDS = 25
#: How often as many vectors as are wanted are drawn from a group's mixture, of which those near to a face are dropped:
#: once or twice for hundreds of people, more often for few, and without end for one or two.
_MOST_DRAWS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Drawn vectors (K, D) as int8, to be scaled to unit length, and the upper limit of their cosine to real faces of
    their group: the highest of the groups' limits.
    """

    vectors: NDArray[np.int8]
    cosine_limit: float


def draw_cohort(
    vectors: NDArray[np.float32],
    people: NDArray[np.int64],
    groups: NDArray[np.str_],
    *,
    seed: int = 0,
    count: int = COUNT,
    spread: float = SPREAD,
) -> Cohort:
    """A cohort of `count`, equal shares for each of `groups` (N,), for the faces `vectors` (N, D) of `people` (N,).

    `spread` is the variance of the drawn vectors as a share of the faces'. Faces of the group "" are ignored.
    Deterministic for a seed. ValueError for fewer than 500 faces, too few to fit a mixture, and for a group of too few
    people.
    """
    named = [str(name) for name in np.unique(groups) if name]
    faces_in_all = int(np.sum(groups != ""))
    if faces_in_all < FEWEST:
        raise ValueError(f"{faces_in_all} faces are too few to draw a cohort from; at least {FEWEST} are needed")
    generator = np.random.default_rng(seed)
    shares = np.diff(np.linspace(0, count, len(named) + 1).round().astype(int))
    drawn, limits = [], []
    for name, share in zip(named, shares, strict=True):
        inside = groups == name
        faces = unit(vectors[inside].astype(np.float64))
        limits.append(near_cosine(faces, people[inside]))
        drawn.append(_drawn(faces, int(share), limits[-1], spread, generator))
    return Cohort(np.concatenate(drawn), max(limits))


def near_cosine(faces: NDArray[np.float64], people: NDArray[np.int64]) -> float:
    """The cosine that one in 10,000 pairs of different people among `faces` (N, D) exceeds."""
    chosen = np.arange(len(faces)) if len(faces) <= 4000 else np.random.default_rng(0).permutation(len(faces))[:4000]
    cosines = faces[chosen] @ faces[chosen].T
    different = people[chosen][:, None] != people[chosen][None]
    return float(np.quantile(cosines[np.triu(different, 1)], 1.0 - _NEAR_SHARE))


def _drawn(
    faces: NDArray[np.float64], count: int, limit: float, spread: float, generator: np.random.Generator
) -> NDArray[np.int8]:
    """`count` vectors from the mixture fitted to `faces`, all with cosines below `limit` to all of them."""
    weights, means, roots = _mixture(faces, spread, generator)
    kept: list[NDArray[np.int8]] = []
    for _ in range(_MOST_DRAWS):
        components = generator.choice(len(weights), size=count, p=weights)
        noise = generator.standard_normal((count, faces.shape[1]))
        for component, root in enumerate(roots):
            noise[components == component] = noise[components == component] @ root.T
        drawn = _quantised(means[components] + noise)
        kept.append(drawn[(unit(drawn.astype(np.float64)) @ faces.T).max(axis=1) < limit])
        if sum(map(len, kept)) >= count:
            return np.concatenate(kept)[:count]
    raise ValueError(
        f"a group of {len(faces)} faces shows too few people to draw a cohort from: nearly all vectors that are drawn "
        "are too near to one of its faces. Add people, or leave the group's label empty"
    )


def _mixture(
    faces: NDArray[np.float64], spread: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (G,), means (G, D) and square roots of the covariances (G, D, D) of a mixture around k-means centres."""
    components = min(_MOST_COMPONENTS, max(1, len(faces) // _FACES_A_COMPONENT))
    labels = _kmeans(faces, components, generator)
    present = [faces[labels == g] for g in range(components) if np.any(labels == g)]
    weights = np.array([len(members) for members in present]) / len(faces)
    means = np.stack([members.mean(axis=0) for members in present])
    own = np.stack([np.cov(members, rowvar=False, bias=True) for members in present])
    pooled = np.einsum("g,gij->ij", weights, own)
    covariances = spread * ((1.0 - _POOLING) * own + _POOLING * pooled)
    return weights, means, np.linalg.cholesky(covariances + 1e-6 * np.eye(len(pooled)))


def _kmeans(faces: NDArray[np.float64], components: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """The component (N,) of each face, by spherical k-means initialised with random faces."""
    centres = faces[generator.choice(len(faces), components, replace=False)]
    labels = np.argmax(faces @ centres.T, axis=1)
    for _ in range(_KMEANS_ROUNDS):
        for component in range(components):
            members = faces[labels == component]
            if len(members):
                centre = members.sum(axis=0)
                centres[component] = centre / np.linalg.norm(centre)
        labels = np.argmax(faces @ centres.T, axis=1)
    return np.asarray(labels, dtype=np.intp)


def _quantised(vectors: NDArray[np.float64]) -> NDArray[np.int8]:
    """Each vector scaled to a maximum magnitude of 127 and rounded, which keeps its direction within half a degree."""
    return np.asarray(np.round(vectors * (127.0 / np.abs(vectors).max(axis=1, keepdims=True))), dtype=np.int8)
