"""Checks of a pack: its files, its networks, its points, its vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.authoring.new_pack import LEAST_DECIDABILITY
from likeness.authoring.portraits import Portrait, main_face
from likeness.authoring.separation import Separation, separation
from likeness.engine import Engine
from likeness.errors import PackError
from likeness.packs.embedder_input import EmbedderInput
from likeness.packs.loaded import load
from likeness.packs.store import damages
from likeness.pipeline import search

#: Vectors of different portraits that differ by less than this, over their length, are one vector.
_CONSTANT = 1e-3
#: The share of faces whose points may be exchanged by chance: in a profile, or in a mirrored photo.
_MIRRORED_SHARE = 0.5


class PackCheck:
    """The faults of a pack, found one after the other, as each may hide the next."""

    def __init__(self, folder: Path, portraits: Sequence[Portrait]) -> None:
        self._folder = folder
        self._portraits = portraits
        #: How well the vectors distinguish people, once they are made.
        self.separation: Separation | None = None

    def faults(self) -> list[str]:
        """Sentences, each with the remedy; empty if nothing is wrong."""
        broken = [str(error) for error in damages(self._folder)]
        if broken:
            return broken
        try:
            return list(self._faults(Engine(self._folder)))
        except PackError as error:
            return [str(error)]

    def _faults(self, engine: Engine) -> Iterator[str]:
        wrong_input = _wrong_size(self._folder, engine.manifest.embedder_input())
        if wrong_input:
            yield wrong_input
            return
        template = engine.manifest.embedder_input().template
        if _mirrored(np.asarray(template)):
            yield "the embedder's template is mirrored: its first point must be the left eye as seen in the picture"
        found = [search(engine, each.photo, search_rotations=False)[0] for each in self._portraits]
        points = [faces.points[main_face(faces)] if len(faces) else None for faces in found]
        if any(each is not None and not np.isfinite(each).all() for each in points):
            yield "the detector's points are NaN: check its colour, mean, scale and side_px"
            return
        missing = sum(each is None for each in points)
        if missing:
            yield (
                f"the detector finds no face on {missing} of {len(points)} portraits: check its family, colour, mean, "
                "scale and side_px"
            )
        seen = [each for each in points if each is not None]
        if sum(map(_mirrored, seen)) > _MIRRORED_SHARE * len(seen):
            yield (
                "the detector's points are mirrored: the left eye as seen in the picture must come first; exchange the "
                "points in the graph, or use the network's own order"
            )
            return
        yield from self._vector_faults(engine, points)

    def _vector_faults(self, engine: Engine, points: Sequence[NDArray[np.float32] | None]) -> Iterator[str]:
        found = {place: each for place, each in enumerate(points) if each is not None}
        chips = [engine.embedder.chips(self._portraits[place].photo, each, None) for place, each in found.items()]
        if not chips:
            return
        vectors = np.concatenate([engine.embedder.vectors([each]) for each in chips])
        if not np.isfinite(vectors).all():
            yield "the embedder's vectors are NaN: check its mean, scale and size_px"
            return
        lengths = np.linalg.norm(vectors, axis=1)
        if float(np.abs(vectors - vectors[0]).max()) <= _CONSTANT * max(float(lengths.max()), 1e-9):
            yield "the embedder gives the same vector for every face: check its mean, scale and the input's type"
            return
        people = np.array([self._portraits[place].person for place in found])
        if len(set(people)) < 2 or len(set(people)) == len(people):
            yield "too few faces were found to see whether the vectors distinguish people"
            return
        self.separation = separation(vectors, people, np.array(list(found)))
        if self.separation.decidability < LEAST_DECIDABILITY:
            genuine, impostor = self.separation.genuine, self.separation.impostor
            yield (
                f"the vectors do not distinguish people: the mean cosine is {genuine:.2f} for pairs of one "
                f"person and {impostor:.2f} for pairs of two; check colour, mean, scale and template, or let "
                "`likeness packs new` find them"
            )
        engine.scorer  # noqa: B018 - a cohort of another size is reported as the pack's fault


def _wrong_size(folder: Path, embedder: EmbedderInput) -> str:
    """A chip of another size than the network takes."""
    network = load(folder, threads=1).network("embedder")
    shape = network.input_shapes[0]
    sides = shape[1:3] if network.takes_bytes else shape[2:4]
    if any(isinstance(side, int) and side != embedder.size_px for side in sides):
        return (
            f"the embedder takes pictures of {sides[1]}x{sides[0]}, and the manifest says size_px = "
            f"{embedder.size_px}: write size_px = {sides[0]} and a template for that size"
        )
    return ""


def _mirrored(points: NDArray[np.float64] | NDArray[np.float32]) -> bool:
    """Whether the eyes and the corners of the mouth are exchanged on an upright face."""
    return bool(points[0, 0] > points[1, 0] and points[3, 0] > points[4, 0])
