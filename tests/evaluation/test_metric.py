"""The metric: what differs within persons counts less, and too little data changes nothing."""

import numpy as np
from numpy.typing import NDArray

from likeness.evaluation.metric import MOST_COMPONENTS, learn_metric
from likeness.vision.embedding import unit


def population(people: int, photos: int, within: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Photos of people whose vectors differ by `within` (D,) in each direction."""
    generator = np.random.default_rng(1)
    numbers = np.repeat(np.arange(people), photos)
    persons = generator.standard_normal((people, len(within)))
    return unit(persons[numbers] + within * generator.standard_normal((len(numbers), len(within)))), numbers


def test_a_direction_in_which_photos_of_one_person_differ_counts_less() -> None:
    within = np.full(16, 0.1)
    within[3] = 1.0
    metric = learn_metric(*population(300, 3, within)).matrix.astype(np.float64)
    weights = np.diagonal(metric)
    assert np.allclose(metric, metric.T, atol=1e-3)
    assert np.argmin(weights) == 3
    assert weights[3] < 0.8 * np.delete(weights, 3).min()
    assert np.isclose(weights.mean(), 1, atol=1e-3)


def test_the_order_of_photos_does_not_matter() -> None:
    vectors, people = population(200, 2, np.linspace(0.1, 0.5, 16))
    order = np.random.default_rng(2).permutation(len(people))
    one, other = learn_metric(vectors, people), learn_metric(vectors[order], people[order])
    assert np.allclose(one.matrix, other.matrix, atol=1e-3)


def test_single_photos_say_nothing_of_what_differs() -> None:
    vectors, _ = population(600, 1, np.full(8, 0.1))
    assert np.array_equal(learn_metric(vectors, np.arange(600)).matrix, np.eye(8))


def test_a_long_vector_keeps_its_principal_components_less_what_all_have_in_common() -> None:
    generator = np.random.default_rng(5)
    short, people = population(300, 3, np.full(16, 0.2))
    basis = np.linalg.qr(generator.standard_normal((400, 16)))[0]
    common = 3 * np.abs(generator.standard_normal(400)) / 20
    long = unit(short @ basis.T + common + 0.001 * generator.standard_normal((len(short), 400)))
    metric = learn_metric(long, people)
    assert metric.matrix.shape == (400, MOST_COMPONENTS)
    assert metric.centre is not None
    turned = metric.turned(long)
    assert np.allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-5)
    assert np.abs(turned.mean(axis=0)).max() < 0.1  # what all have in common is gone
    # Persons are told apart as in the sixteen numbers that the vectors were made of.
    cosines = turned @ turned.T
    same = people[:, None] == people[None]
    assert np.quantile(cosines[same], 0.05) > np.quantile(cosines[~same], 0.99)
