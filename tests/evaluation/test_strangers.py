"""Strangers: like faces, but nobody's; and what is judged is never what was learned."""

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.evaluation import cross_fit
from likeness.evaluation.strangers import COUNT, Strangers, draw_strangers, near_cosine
from likeness.vision.embedding import unit
from likeness.vision.scoring import Profile, Scorer


def population(people: int, photos: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors around a common centre, with photos of one person close together."""
    generator = np.random.default_rng(seed)
    centre = generator.standard_normal(32)
    persons = centre + 0.6 * generator.standard_normal((people, 32))
    numbers = np.repeat(np.arange(people), photos)
    return unit(persons[numbers] + 0.2 * generator.standard_normal((len(numbers), 32))), numbers


VECTORS, PEOPLE = population(400, 2)


def directions(strangers: Strangers) -> NDArray[np.float32]:
    return unit(strangers.vectors.astype(np.float32))


def test_no_stranger_is_near_a_real_face() -> None:
    strangers = draw_strangers(VECTORS, PEOPLE)
    assert strangers.vectors.shape == (COUNT, 32)
    assert strangers.vectors.dtype == np.int8
    nearest = (directions(strangers) @ VECTORS.T).max()
    assert nearest < strangers.cosine_limit
    # Photos of one person are nearer to each other than that, so a copy would have been found.
    assert np.median((VECTORS[::2] * VECTORS[1::2]).sum(axis=1)) > strangers.cosine_limit


def test_strangers_are_spread_like_faces() -> None:
    drawn = directions(draw_strangers(VECTORS, PEOPLE))
    between_faces, to_strangers = VECTORS[::2] @ VECTORS[1::2].T, VECTORS[::2] @ drawn.T
    assert np.median(to_strangers) == pytest.approx(np.median(between_faces), abs=0.05)
    assert np.quantile(to_strangers, 0.99) == pytest.approx(np.quantile(between_faces, 0.99), abs=0.1)


def test_a_seed_gives_the_same_strangers_again() -> None:
    first, again, other = (draw_strangers(VECTORS, PEOPLE, seed=seed).vectors for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_faces_say_too_little() -> None:
    with pytest.raises(ValueError, match="at least 500"):
        draw_strangers(VECTORS[:499], PEOPLE[:499])


def test_the_limit_is_between_different_people() -> None:
    generator = np.random.default_rng(0)
    faces = unit(generator.standard_normal((300, 16))).astype(np.float64)
    twins = np.concatenate([faces, faces])
    people = np.tile(np.arange(300), 2)
    assert near_cosine(twins, people) < 0.95


def test_parts_divide_people_not_photos() -> None:
    parts = cross_fit.parts_of(PEOPLE)
    assert all(len(set(parts[person == PEOPLE])) == 1 for person in np.unique(PEOPLE))
    assert np.ptp(np.bincount(parts)) <= 2


def test_every_pair_is_judged_once_by_those_who_know_neither() -> None:
    learned_from: list[set[int]] = []

    class Naming(Scorer):
        """A scorer whose score is the number of its model."""

        def __init__(self, model: int) -> None:
            super().__init__()
            self.model = model

        def compare(self, a: Profile, b: Profile) -> NDArray[np.float64]:
            return np.full((len(a.directions), len(b.directions)), float(self.model))

    def remembering(vectors: NDArray[np.float32], people: NDArray[np.int64]) -> Naming:
        assert len(vectors) == len(people)
        learned_from.append(set(people.tolist()))
        return Naming(len(learned_from) - 1)

    models = cross_fit.cross_fitted_scores(VECTORS, PEOPLE, learn=remembering)
    assert np.isnan(np.diagonal(models)).all()
    first, second = np.triu_indices(len(VECTORS), k=1)
    assert np.array_equal(models[first, second], models[second, first])
    for a, b, model in zip(PEOPLE[first], PEOPLE[second], models[first, second], strict=True):
        assert not {int(a), int(b)} & learned_from[int(model)]


def test_what_is_learned_is_what_ships_unless_something_else_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Learned:
        def scorer(self) -> Scorer:
            return Scorer()

    def remembering(vectors: NDArray[np.float32], people: NDArray[np.int64], *, lengths: str) -> Learned:
        asked.append(len(vectors))
        return Learned()

    monkeypatch.setattr(cross_fit, "learn_scoring", remembering)
    scores = cross_fit.cross_fitted_scores(VECTORS, PEOPLE)
    assert len(asked) == 15
    assert np.nanmax(np.abs(scores - VECTORS @ VECTORS.T)) < 1e-6


def test_scores_of_strangers_to_the_learning_are_those_of_a_scorer() -> None:
    scores = cross_fit.cross_fitted_scores(VECTORS, PEOPLE)
    same = PEOPLE[:, None] == PEOPLE[None]
    off_diagonal = ~np.eye(len(PEOPLE), dtype=bool)
    assert np.isfinite(scores[off_diagonal]).all()
    assert np.allclose(scores, scores.T, equal_nan=True)
    assert scores[same & off_diagonal].min() > np.median(scores[~same])
