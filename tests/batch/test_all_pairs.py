"""All pairs of many vectors: what the search finds is what comparing each pair finds, and the memory stays bounded."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from likeness.batch import all_pairs
from likeness.batch.all_pairs import AllPairs, Blocks, SimilarPairs, block_of, lowest_score
from likeness.batch.described import DescribedPhoto, Faces, Failure
from likeness.batch.storage import FolderStorage
from likeness.comparer import Comparer


def photo(vector: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> DescribedPhoto:
    return DescribedPhoto(source=Faces((), vector.tobytes()))


def blocks_of(folder: Path, vectors: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", broken: set[int]) -> Blocks:
    """Blocks of the photos with these vectors, some of which cannot be used."""
    blocks = Blocks(FolderStorage(folder), len(vectors))
    failed = DescribedPhoto(source=Failure("InvalidImageFormat", "InvalidImageFormatException", "broken"))
    for number in range(len(blocks)):
        start = number * all_pairs.PHOTOS_A_BLOCK
        some = enumerate(vectors[start : start + all_pairs.PHOTOS_A_BLOCK], start)
        blocks.write(number, block_of(start, [failed if place in broken else photo(row) for place, row in some]))
    return blocks


@pytest.mark.engine
@pytest.mark.parametrize(("threshold", "top"), [(80.0, 400), (80.0, 1), (99.0, 400)])
def test_the_search_finds_what_comparing_each_pair_finds(
    comparer: Comparer, threshold: float, top: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(all_pairs, "PHOTOS_A_BLOCK", 100)
    monkeypatch.setattr(all_pairs, "_ROWS_AT_ONCE", 30)
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(330, 192)).astype(np.float32)
    vectors[1::5] = vectors[::5] + chance.normal(size=(66, 192)).astype(np.float32) * chance.uniform(0.1, 2, (66, 1))
    vectors[2::33] = vectors[0]  # the same person often, so that some of the most alike are in other blocks
    broken = {7, 120, *range(200, 300)}
    blocks = blocks_of(tmp_path, vectors, broken)
    work = AllPairs(comparer, blocks, threshold, top)
    assert blocks.missing("candidates") == [0, 1, 2, 3]
    assert sum(map(blocks.pairs, range(4))) == 330 * 329 // 2
    for number in blocks.missing("candidates"):
        blocks.write_candidates(number, work.candidates(number))
    assert blocks.missing("candidates") == []

    good = np.array([place for place in range(330) if place not in broken])
    first, second = np.triu_indices(len(good), 1)
    values = comparer.similarities(vectors[good], first, second).astype(np.float32)
    alike = values >= threshold
    expected = SimilarPairs(good[first[alike]], good[second[alike]], values[alike]).most_similar(top)
    assert 20 < len(expected.first) < 300
    columns = (expected.first.tolist(), expected.second.tolist(), expected.similarity.tolist())
    assert list(blocks.most_similar(top)) == list(zip(*columns, strict=True))
    records = list(blocks.records(top, "photo {}".format))
    assert [each["source"] for each in records[: len(broken)]] == [f"photo {place}" for place in sorted(broken)]
    assert all(each["error"] for each in records[: len(broken)])
    assert len(records) == len(broken) + len(expected.first)


@pytest.mark.engine
def test_the_memory_of_a_search_does_not_grow_with_the_photos(
    comparer: Comparer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(all_pairs, "PHOTOS_A_BLOCK", 128)

    def peak(photos: int) -> int:
        vectors = np.random.default_rng(photos).normal(size=(photos, 192)).astype(np.float32)
        blocks = blocks_of(tmp_path / str(photos), vectors, set())
        del vectors
        work = AllPairs(comparer, blocks, 80.0, 10)
        tracemalloc.start()
        try:
            blocks.write_candidates(0, work.candidates(0))  # of one block with all
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(128)  # what is loaded and made once
    few, many = peak(1024), peak(4096)
    assert many <= 1.05 * few, (few, many)


@pytest.mark.engine
def test_the_memory_of_a_search_is_bounded_where_all_photos_are_alike(comparer: Comparer, tmp_path: Path) -> None:
    vectors = np.random.default_rng(4).normal(size=(all_pairs.PHOTOS_A_BLOCK, 192)).astype(np.float32)
    work = AllPairs(comparer, blocks_of(tmp_path, vectors, set()), threshold=0.0, top=10)
    found = work.candidates(0)
    tracemalloc.start()
    try:
        pairs = len(next(found).first)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pairs > 10 * all_pairs._ROWS_AT_ONCE
    assert peak < 200 << 20, peak


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
