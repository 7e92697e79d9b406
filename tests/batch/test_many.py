"""`likeness.compare_many` gives what `Comparer.compare` gives, pair by pair."""

import io
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import likeness
from likeness.comparer import Comparer
from likeness.errors import InvalidParameter, NoFaceFound, RequestError

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
            refusal = (type(error), str(error))
            expected = None
        if expected is None:
            assert (type(result.error), str(result.error)) == refusal
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


@pytest.mark.parametrize("pairs", [None, 5])
def test_what_are_no_pairs_is_told_so(comparer: Comparer, pairs: Any) -> None:
    with pytest.raises(InvalidParameter, match=f"pairs is an object of type {type(pairs).__name__}"):
        next(likeness.compare_many(pairs, comparer=comparer))


def test_a_threshold_out_of_range_is_refused_as_by_the_comparer(comparer: Comparer) -> None:
    options = likeness.BatchOptions(similarity_threshold=500)
    with pytest.raises(InvalidParameter, match="a number from 0 to 100"):
        next(likeness.compare_many([], comparer=comparer, options=options))


def blank(number: int) -> bytes:
    """A photo without a face, unlike any other."""
    buffer = io.BytesIO()
    Image.new("RGB", (80, 80), (number, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_iteration_goes_on_in_a_forked_child_and_in_the_parent(
    comparer: Comparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.batch.many._PAIRS_AT_ONCE", 3)
    results = likeness.compare_many(
        [(blank(2 * number), blank(2 * number + 1)) for number in range(12)], comparer=comparer
    )
    assert isinstance(next(results).error, NoFaceFound)

    def rest() -> None:
        os._exit(sum(1 for _ in results))

    child = multiprocessing.get_context("fork").Process(target=rest)
    child.start()
    child.join(60)
    hangs = child.is_alive()
    child.kill()
    child.join()
    assert not hangs
    assert child.exitcode == 11
    assert sum(1 for _ in results) == 11


def test_an_iteration_goes_on_in_a_thread_that_outlives_the_main_thread(standard_pack: None) -> None:
    program = f"""
import threading, time
import likeness
results = likeness.compare_many([({blank(0)!r}, {blank(1)!r})] * 300)
next(results)
def late():
    threading.main_thread().join()
    time.sleep(0.2)
    print(sum(1 for _ in results), sum(1 for _ in likeness.compare_many([({blank(2)!r}, {blank(3)!r})])))
threading.Thread(target=late).start()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.stderr) == ("299 1\n", "")


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
    prepared = cache(partial(comparer.prepare, quality_filter=quality_filter, prefer=prefer))
    for result in likeness.compare_many(
        [(a, b) for a in photos[:4] for b in photos], comparer=comparer, options=options
    ):
        try:
            expected = comparer.compare(prepared(result.source), result.target, quality_filter=quality_filter)
        except RequestError as error:
            assert (type(result.error), str(result.error)) == (type(error), str(error))  # noqa: PT017
            continue
        assert result.comparison == expected
