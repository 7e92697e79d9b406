"""All pairs of many vectors: what the search finds is what comparing each pair finds, and the memory stays bounded."""

import numpy as np
import pytest

from likeness.batch import all_pairs
from likeness.batch.all_pairs import Alike, AllPairs, lowest_score
from likeness.comparer import Comparer


@pytest.mark.engine
@pytest.mark.parametrize("threshold", [80.0, 99.0])
def test_the_search_finds_what_comparing_each_pair_finds(
    comparer: Comparer, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_pairs, "PHOTOS_A_SHARD", 100)
    monkeypatch.setattr(all_pairs, "_AT_ONCE", 70)
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(330, 192)).astype(np.float32)
    vectors[1::5] = vectors[::5] + chance.normal(size=(66, 192)).astype(np.float32) * chance.uniform(0.1, 2, (66, 1))
    places = np.arange(330) * 2
    work = AllPairs(comparer, vectors, places, threshold, top=400)
    found = Alike.joined([work.shard(number) for number in range(work.shards)]).most_alike(400)

    first, second = np.triu_indices(330, 1)
    values = comparer.similarities(vectors, first, second).astype(np.float32)
    alike = values >= threshold
    expected = Alike(places[first[alike]], places[second[alike]], values[alike]).most_alike(400)
    assert 20 < len(expected.first) < 300
    for name in ("first", "second", "similarity"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.engine
@pytest.mark.parametrize("similarity", [1.0, 50.0, 80.0, 99.0, 99.9999])
def test_no_score_below_the_lowest_reaches_the_similarity(comparer: Comparer, similarity: float) -> None:
    lowest = lowest_score(comparer.calibration, similarity)
    assert comparer.calibration.similarity(lowest - 1e-6) < similarity
    assert comparer.calibration.similarity(lowest + 1e-6) >= similarity


@pytest.mark.engine
def test_every_score_has_a_similarity_of_zero_and_only_the_same_face_one_of_a_hundred(comparer: Comparer) -> None:
    assert lowest_score(comparer.calibration, 0.0) == -np.inf
    assert lowest_score(comparer.calibration, 100.0) > 1e5
