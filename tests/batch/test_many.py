"""`likeness.compare_many` gives what `Comparer.compare` gives, pair by pair."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import likeness
from likeness.comparer import Comparer
from likeness.errors import InvalidParameter, RequestError

pytestmark = pytest.mark.engine


@pytest.fixture
def pairs(folder: Path) -> list[tuple[Path, Path]]:
    photos = sorted((folder / "photos").iterdir())
    return [(first, second) for first in photos[:5] for second in photos]


def test_results_are_those_of_the_comparer_in_order(pairs: list[tuple[Path, Path]], comparer: Comparer) -> None:
    given: Iterator[tuple[Path, Path]] = iter(pairs)
    results = list(likeness.compare_many(given, comparer=comparer))
    assert [(each.source, each.target) for each in results] == pairs
    for result in results:
        try:
            expected = comparer.compare(result.source, result.target)
        except RequestError as error:
            told = (type(error), str(error))
            expected = None
        if expected is None:
            assert (type(result.error), str(result.error)) == told
        else:
            assert result.comparison == expected


def test_no_more_pairs_are_read_than_are_worked_on(pairs: list[tuple[Path, Path]], comparer: Comparer) -> None:
    read = 0

    def endless() -> Iterator[tuple[Path, Path]]:
        nonlocal read
        while True:
            read += 1
            yield pairs[read % len(pairs)]

    results = likeness.compare_many(endless(), comparer=comparer)
    next(results)
    assert read == 256


def test_a_data_frame_is_read_by_its_columns(pairs: list[tuple[Path, Path]], comparer: Comparer) -> None:
    sources, targets = ([str(path) for path in side] for side in zip(*pairs[:3], strict=True))

    class Frame:
        """What pandas and polars have in common."""

        columns = ("source", "target")

        def __getitem__(self, name: str) -> list[str]:
            return {"source": sources, "target": targets}[name]

    results = list(likeness.compare_many(Frame(), comparer=comparer))
    assert [(each.source, each.target) for each in results] == list(zip(sources, targets, strict=True))


def test_what_is_no_pair_is_told_so(comparer: Comparer) -> None:
    with pytest.raises(InvalidParameter, match="pair 1 is str"):
        next(likeness.compare_many(["a.jpg"], comparer=comparer))
