"""The cohort: distributed like faces, near no person's face; evaluation excludes the people it was drawn from."""

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.evaluation import cross_fit
from likeness.evaluation.cohort import COUNT, Cohort, draw_cohort, near_cosine
from likeness.vision.products import unit
from likeness.vision.scoring import Profile, Scorer


def population(people: int, photos: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors around a common centre, with photos of one person close together."""
    generator = np.random.default_rng(seed)
    centre = generator.standard_normal(32)
    persons = centre + 0.6 * generator.standard_normal((people, 32))
    numbers = np.repeat(np.arange(people), photos)
    vectors = persons[numbers] + 0.2 * generator.standard_normal((len(numbers), 32))
    return unit(vectors.astype(np.float32)), numbers


VECTORS, PEOPLE = population(400, 2)
PEOPLE = PEOPLE.astype(np.int64)


GROUPS = np.where(PEOPLE % 4 == 0, "few", "many")


def directions(cohort: Cohort) -> NDArray[np.float32]:
    return unit(cohort.vectors.astype(np.float32))


def test_none_of_the_cohort_is_near_a_real_face_of_its_group() -> None:
    cohort = draw_cohort(VECTORS, PEOPLE, GROUPS)
    assert cohort.vectors.shape == (COUNT, 32)
    assert cohort.vectors.dtype == np.int8
    for group, drawn in zip(("few", "many"), np.split(directions(cohort), 2), strict=True):
        inside = group == GROUPS
        limit = near_cosine(VECTORS[inside].astype(np.float64), PEOPLE[inside])
        assert (drawn @ VECTORS[inside].T).max() < limit <= cohort.cosine_limit
        # Photos of one person are nearer to each other than that, so a copy would have been found.
        own = VECTORS[inside]
        assert np.median((own[::2] * own[1::2]).sum(axis=1)) > limit


def test_a_small_group_has_as_large_a_share_as_a_large_one() -> None:
    shift = np.where((GROUPS == "few")[:, None], 0.2, -0.2) * np.eye(32)[0]
    apart = unit((VECTORS + shift).astype(np.float32))
    few, many = np.split(directions(draw_cohort(apart, PEOPLE, GROUPS)), 2)
    middles = {name: unit(apart[name == GROUPS].mean(axis=0)) for name in ("few", "many")}
    assert (few @ middles["few"]).mean() > (many @ middles["few"]).mean()
    assert (many @ middles["many"]).mean() > (few @ middles["many"]).mean()


def test_the_cohort_is_spread_like_faces_only_narrower() -> None:
    drawn = directions(draw_cohort(VECTORS, PEOPLE, np.full(len(PEOPLE), "all")))
    between_faces, to_cohort = VECTORS[::2] @ VECTORS[1::2].T, VECTORS[::2] @ drawn.T
    assert np.median(to_cohort) == pytest.approx(np.median(between_faces), abs=0.08)
    assert np.quantile(to_cohort, 0.99) == pytest.approx(np.quantile(between_faces, 0.99), abs=0.1)


def test_a_seed_gives_the_same_cohort_again() -> None:
    first, again, other = (draw_cohort(VECTORS, PEOPLE, GROUPS, seed=seed).vectors for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_faces_without_a_group_teach_nothing() -> None:
    blind = np.where(PEOPLE < 350, GROUPS, "")
    alone = draw_cohort(VECTORS[PEOPLE < 350], PEOPLE[PEOPLE < 350], GROUPS[PEOPLE < 350])
    assert np.array_equal(draw_cohort(VECTORS, PEOPLE, blind).vectors, alone.vectors)


def test_too_few_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 500"):
        draw_cohort(VECTORS[:499], PEOPLE[:499], GROUPS[:499])


def test_a_group_of_too_few_people_is_refused() -> None:
    generator = np.random.default_rng(1)
    many = generator.standard_normal((600, 16))
    two = np.eye(16)[np.arange(40) % 2] + 0.05 * generator.standard_normal((40, 16))
    people = np.concatenate([np.arange(600), 600 + np.arange(40) % 2])
    groups = np.array(["a"] * 600 + ["b"] * 40)
    with pytest.raises(ValueError, match="a group of 40 faces shows too few people"):
        draw_cohort(np.concatenate([many, two]).astype(np.float32), people, groups, count=40)


def test_the_limit_is_between_different_people() -> None:
    generator = np.random.default_rng(0)
    faces = unit(generator.standard_normal((300, 16)))
    twins = np.concatenate([faces, faces])
    people = np.tile(np.arange(300), 2)
    assert near_cosine(twins, people) < 0.95


def test_parts_divide_people_not_photos() -> None:
    parts = cross_fit.parts_of(PEOPLE)
    assert all(len(set(parts[person == PEOPLE])) == 1 for person in np.unique(PEOPLE))
    assert np.ptp(np.bincount(parts)) <= 2


FACES = cross_fit.GroupedFaces(VECTORS, PEOPLE, GROUPS)
EVERY = tuple(places.astype(np.int64) for places in np.triu_indices(len(VECTORS), k=1))


def test_every_pair_is_scored_by_a_cohort_without_its_people() -> None:
    learned_from: list[set[int]] = []

    class Naming(Scorer):
        """A scorer whose score is the number of its model."""

        def __init__(self, model: int) -> None:
            super().__init__()
            self.model = model

        def compare(self, a: Profile, b: Profile) -> NDArray[np.float64]:
            return np.full((len(a.directions), len(b.directions)), float(self.model))

    def remembering(vectors: NDArray[np.float32], people: NDArray[np.int64], groups: NDArray[np.str_]) -> Naming:
        assert len(vectors) == len(people) == len(groups)
        learned_from.append(set(people.tolist()))
        return Naming(len(learned_from) - 1)

    first, second = EVERY
    models = cross_fit.cross_fitted_scores(FACES, first, second, learn=remembering)
    assert len(learned_from) == 15
    assert set(models) == set(range(15))
    for a, b, model in zip(PEOPLE[first], PEOPLE[second], models, strict=True):
        assert not {int(a), int(b)} & learned_from[int(model)]


def test_scores_of_people_not_learned_from_are_those_of_a_scorer() -> None:
    first, second = EVERY
    advanced: list[None] = []
    scores = cross_fit.cross_fitted_scores(FACES, first, second, advance=lambda: advanced.append(None))
    same = PEOPLE[first] == PEOPLE[second]
    assert len(advanced) == 15
    assert np.isfinite(scores).all()
    assert scores[same].min() > np.median(scores[~same])
