"""`likeness.compare_many`: compares pairs from a list, a generator or a DataFrame, in order."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from os import PathLike, fspath
from typing import Any

from likeness import errors
from likeness.batch.describe import BatchOptions, describe
from likeness.batch.described import AS_SOURCE, AS_TARGET, DescribedPhoto, Failure
from likeness.batch.records import comparison, marks
from likeness.batch.scoring import similarities
from likeness.comparer import Comparer
from likeness.errors import InvalidParameter, RequestError
from likeness.executor import Executor
from likeness.faces import Comparison
from likeness.image import Photo
from likeness.settings import check_choices

#: The pairs compared at a time, and the photos cached beyond these.
_PAIRS_AT_ONCE, _REMEMBERED = 256, 8192


@dataclass(frozen=True, slots=True)
class PairResult:
    """The result for a pair: the `comparison`, or the `error` that `Comparer.compare` would raise."""

    source: Photo
    target: Photo
    comparison: Comparison | None = None
    error: RequestError | None = None

    def __repr__(self) -> str:
        photos = [p if isinstance(p, (str, PathLike)) else type(p).__name__ for p in (self.source, self.target)]
        outcome = self.comparison if self.error is None else self.error
        return f"PairResult({photos[0]!r}, {photos[1]!r}, {outcome!r})"


def compare_many(
    pairs: Iterable[Any],
    *,
    comparer: Comparer | None = None,
    options: BatchOptions | None = None,
) -> Iterator[PairResult]:
    """Compares each pair (source, target) and yields the results in order; each photo is analysed once.

    `pairs` may be a list, a generator, or a DataFrame with the columns source and target; photos are as for
    `likeness.compare_faces`. `options` has the threshold, quality filter and so on, see `BatchOptions`; `comparer` is
    an engine that is already loaded. At most 256 pairs are read ahead. A photo that cannot be used is an `error` of its
    pairs and never ends the iteration. Raises InvalidParameter for an invalid pair or option, PackError, and
    ComparerUnusable if `comparer` is closed.

    >>> import likeness
    >>> from likeness import packs
    >>> photos = packs.samples()
    >>> pairs = [(photos["obama.jpg"], photos["obama2.jpg"]), (photos["obama.jpg"], "missing.jpg")]
    >>> [result.error is None for result in likeness.compare_many(pairs)]
    [True, False]
    """
    options = options or BatchOptions()
    check_choices(options.similarity_threshold, options.quality_filter, options.prefer)
    rest = _pairs(pairs)
    with ExitStack() as stack:
        engine = comparer or stack.enter_context(Comparer(options.pack, settings=options.settings))
        executor = Executor(engine.threads)
        stack.callback(executor.close)
        photos = _Photos(engine, options, executor)
        while batch := list(islice(rest, _PAIRS_AT_ONCE)):
            yield from _results(engine, batch, photos.get(batch), options)


def _results(
    comparer: Comparer,
    pairs: Sequence[tuple[Photo, Photo]],
    described: Sequence[tuple[DescribedPhoto, DescribedPhoto]],
    options: BatchOptions,
) -> Iterator[PairResult]:
    failed = [
        _error(source.source, "source photo") or _error(target.target, "target photo") for source, target in described
    ]
    good = [both for both, error in zip(described, failed, strict=True) if error is None]
    compared = iter(zip(good, similarities(comparer, good), strict=True))
    for (source, target), error in zip(pairs, failed, strict=True):
        if error is not None:
            yield PairResult(source, target, error=error)
            continue
        both, values = next(compared)
        compared_pair = comparison(*both, values, options.similarity_threshold)
        yield PairResult(source, target, replace(compared_pair, calibrated=not marks(comparer)))


@dataclass(slots=True)
class _Photos:
    """Descriptions of photos, with a bounded cache."""

    comparer: Comparer
    options: BatchOptions
    executor: Executor
    known: "OrderedDict[object, DescribedPhoto]" = field(default_factory=OrderedDict)

    def get(self, pairs: Sequence[tuple[Photo, Photo]]) -> list[tuple[DescribedPhoto, DescribedPhoto]]:
        """Both photos of each pair."""
        keyed = [(_key(source), source, _key(target), target) for source, target in pairs]
        photos = {
            key: photo for source, first, target, second in keyed for key, photo in ((source, first), (target, second))
        }
        new = [key for key in photos if key not in self.known]
        with self.executor.running() as spread:
            described = spread(self._describe, [photos[key] for key in new])
        self.known.update(zip(new, described, strict=True))
        for key in photos:
            self.known.move_to_end(key)
        found = [(self.known[source], self.known[target]) for source, _, target, _ in keyed]
        for key in [key for key in photos if isinstance(key, _ReadOnce)]:
            del self.known[key]
        while len(self.known) > _REMEMBERED:
            self.known.popitem(last=False)
        return found

    def _describe(self, photo: Photo) -> DescribedPhoto:
        return describe(self.comparer, photo, AS_SOURCE | AS_TARGET, self.options)


class _ReadOnce:
    """The key of a photo that can be read only once, and is not cached."""


def _key(photo: Photo) -> object:
    """The cache key of a photo: its path or its content."""
    if isinstance(photo, (str, PathLike)):
        return fspath(photo)
    if isinstance(photo, bytes):
        return hashlib.sha256(photo).digest()
    return _ReadOnce()


def _pairs(pairs: Iterable[Any]) -> Iterator[tuple[Photo, Photo]]:
    if hasattr(pairs, "columns"):  # a DataFrame of any library
        table: Any = pairs
        try:
            yield from zip(table["source"], table["target"], strict=True)
        except (KeyError, LookupError) as error:
            raise InvalidParameter("the DataFrame must have the columns source and target") from error
        return
    if not isinstance(pairs, Iterable):
        raise InvalidParameter(f"pairs is an object of type {type(pairs).__name__}; pass pairs (source, target)")
    for number, pair in enumerate(pairs, 1):
        if not isinstance(pair, Sequence) or isinstance(pair, (str, bytes)) or len(pair) != 2:
            raise InvalidParameter(f"pair {number} is {type(pair).__name__}; pass (source, target)")
        yield pair[0], pair[1]


def _error(side: object, role: str) -> RequestError | None:
    """The error that `Comparer.compare` raises for such a description."""
    if not isinstance(side, Failure):
        return None
    made: RequestError = getattr(errors, side.kind)(side.reason_for(role))
    return made
