"""Similarities of many pairs of described photos, as matrix products over blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.batch.described import DescribedPhoto, Faces
from likeness.comparer import Comparer

#: The most target faces in a block, and sources in a part of it: they limit the memory (32 MB).
_MOST_FACES, _SOURCES_AT_ONCE = 2048, 64


@dataclass(frozen=True, slots=True, eq=False)
class _Sides:
    """Sources (S, D) and target faces (T, D) to compare, and for each pair its source and its range of target faces."""

    sources: NDArray[np.float32]
    targets: NDArray[np.float32]
    source_of: NDArray[np.intp]
    ranges: list[tuple[int, int]]


def similarities(
    comparer: Comparer, pairs: Sequence[tuple[DescribedPhoto, DescribedPhoto]]
) -> list[NDArray[np.float32]]:
    """For each pair, the Similarity (0 to 100) of the source's face with each face of the target.

    Both photos of each pair must be usable, see `DescribedPhoto`. The values are bitwise those of `Comparer.compare`.
    """
    found: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda place: id(pairs[place][0]))
    for block in _blocks(order, pairs):
        for place, values in zip(block, _compared(comparer, [pairs[place] for place in block]), strict=True):
            found[place] = values
    return found


def _blocks(order: Sequence[int], pairs: Sequence[tuple[DescribedPhoto, DescribedPhoto]]) -> list[list[int]]:
    """The indices of pairs in blocks with at most _MOST_FACES target faces, or one pair."""
    blocks: list[list[int]] = []
    seen: set[int] = set()
    faces = _MOST_FACES
    for place in order:
        target = pairs[place][1]
        new = 0 if id(target) in seen else _count(target)
        if faces + new > _MOST_FACES:
            blocks.append([])
            seen, faces, new = set(), 0, _count(target)
        blocks[-1].append(place)
        seen.add(id(target))
        faces += new
    return blocks


def _compared(comparer: Comparer, pairs: Sequence[tuple[DescribedPhoto, DescribedPhoto]]) -> list[NDArray[np.float32]]:
    sides = _gathered(pairs)
    sources, targets = comparer.scorer.profile(sides.sources), comparer.scorer.profile(sides.targets)
    values: list[NDArray[np.float32]] = []
    for start in range(0, len(sides.sources), _SOURCES_AT_ONCE):
        first, last = np.searchsorted(sides.source_of, (start, start + _SOURCES_AT_ONCE))
        ranges = sides.ranges[first:last]
        columns = np.unique(np.concatenate([np.arange(*each) for each in ranges]))
        if not len(columns):
            values += [np.zeros(0, np.float32)] * len(ranges)
            continue
        scores = comparer.scorer.compare(sources[start : start + _SOURCES_AT_ONCE], targets[columns])
        block = comparer.calibration.similarity(scores).astype(np.float32)
        for source, (begin, end) in zip(sides.source_of[first:last] - start, ranges, strict=True):
            at = int(np.searchsorted(columns, begin))
            values.append(block[source, at : at + end - begin])
    return values


def _gathered(pairs: Sequence[tuple[DescribedPhoto, DescribedPhoto]]) -> _Sides:
    sources: dict[int, int] = {}
    targets: dict[int, tuple[int, int]] = {}
    rows: list[NDArray[np.float32]] = []
    columns: list[NDArray[np.float32]] = []
    faces = 0
    for source, target in pairs:
        if id(source) not in sources:
            sources[id(source)] = len(sources)
            rows.append(_faces(source.source).matrix)
        if id(target) not in targets:
            count = _count(target)
            targets[id(target)] = (faces, faces + count)
            faces += count
            if count:
                columns.append(_faces(target.target).matrix)
    together = np.concatenate(rows)
    return _Sides(
        together,
        np.concatenate(columns) if columns else np.zeros((0, together.shape[1]), np.float32),
        np.array([sources[id(source)] for source, _ in pairs], dtype=np.intp),
        [targets[id(target)] for _, target in pairs],
    )


def _count(target: DescribedPhoto) -> int:
    return len(_faces(target.target).faces)


def _faces(side: object) -> Faces:
    if not isinstance(side, Faces):
        raise ValueError("a photo that cannot be used has no faces to compare")
    return side
