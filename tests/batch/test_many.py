"""`likeness.compare_many` gives what `Comparer.compare` gives, pair by pair."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def test_a_photo_that_is_source_and_target_is_analysed_once(
    pairs: list[tuple[Path, Path]], comparer: Comparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: list[object] = []
    analyse = Comparer.analyse

    def counted(self: Comparer, photo: Path, **options: Any) -> Any:
        analysed.append(photo)
        return analyse(self, photo, **options)

    monkeypatch.setattr(Comparer, "analyse", counted)
    list(likeness.compare_many(pairs + [(b, a) for a, b in pairs], comparer=comparer))
    assert sorted(analysed) == sorted({photo for pair in pairs for photo in pair})  # type: ignore[type-var]


@pytest.mark.parametrize("prefer", ["largest", "central"])
@pytest.mark.parametrize("quality_filter", ["NONE", "AUTO", "HIGH"])
def test_one_analysis_serves_both_roles_with_any_filter(
    portraits: dict[str, Path], comparer: Comparer, prefer: Any, quality_filter: Any
) -> None:
    photos = [path for name, path in sorted(portraits.items()) if name.endswith(".jpg")]
    options = likeness.BatchOptions(quality_filter=quality_filter, prefer=prefer)
    for result in likeness.compare_many(
        [(a, b) for a in photos[:4] for b in photos], comparer=comparer, options=options
    ):
        try:
            source = comparer.prepare(result.source, quality_filter=quality_filter, prefer=prefer)
            expected = comparer.compare(source, result.target, quality_filter=quality_filter)
        except RequestError as error:
            assert (type(result.error), str(result.error)) == (type(error), str(error))  # noqa: PT017
            continue
        assert result.comparison == expected
