"""Checks of a pack: its files, its networks, its points, its vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from likeness.authoring.judgements import LEAST_DECIDABILITY, order_fault, points_fault, vectors_fault
from likeness.authoring.networks import family_in, read_embedder
from likeness.authoring.portraits import LocatedFace, Portrait, main_face
from likeness.authoring.separation import Separation, separation
from likeness.authoring.trials import better_choice
from likeness.calibrated import calibration_fault
from likeness.engine import Engine
from likeness.errors import PackError
from likeness.packs.manifest import Manifest
from likeness.packs.store import damages
from likeness.pipeline import search

_REMEDY_OF_NAN = "check its colour, mean, scale and side_px"
_REMEDY_OF_ORDER = "exchange the points in the graph, or use the network's own order"


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
            engine = Engine(self._folder)
            advice = list(self._faults(engine))
        except PackError as error:
            return [str(error)]
        if engine.manifest.calibration is not None:
            advice = [f"{each}; then calibrate again" for each in advice]
        stale = calibration_fault(engine.manifest)
        return [*advice, *([stale] if stale else [])]

    def _faults(self, engine: Engine) -> Iterator[str]:
        exchanged = _detector_as_embedder(engine.manifest)
        if exchanged:
            yield exchanged
            return
        _ = engine.detector, engine.embedder  # a network that is not what the manifest says is reported first
        disorder = order_fault([np.asarray(engine.manifest.embedder_input().template)])
        if disorder:
            yield f"the embedder's template has {disorder}"
        found = [search(engine, each.photo, search_rotations=False)[0] for each in self._portraits]
        faces = [
            LocatedFace(portrait, each.points[main_face(each)])
            for portrait, each in zip(self._portraits, found, strict=True)
            if len(each)
        ]
        missing = len(found) - len(faces)
        if missing:
            yield (
                f"the detector finds no face on {missing} of {len(found)} portraits: check its colour, mean, scale "
                "and score_threshold"
            )
        fault = points_fault([face.points for face in faces])
        if fault:
            yield f"the detector {fault}; {_REMEDY_OF_NAN if 'NaN' in fault else _REMEDY_OF_ORDER}"
        elif faces:
            yield from self._vector_faults(engine, faces)

    def _vector_faults(self, engine: Engine, faces: Sequence[LocatedFace]) -> Iterator[str]:
        embedder = engine.embedder
        vectors = np.concatenate(
            [embedder.vectors([embedder.chips(face.portrait.photo, face.points, None)]) for face in faces]
        )
        fault = vectors_fault(vectors)
        if fault:
            yield f"the embedder {fault}: check its mean, scale and size_px"
            return
        people = np.array([face.portrait.person for face in faces])
        if len(set(people)) < 2 or len(set(people)) == len(people):
            yield "too few faces were found to see whether the vectors distinguish people"
            return
        self.separation = separation(vectors, people, np.arange(len(faces)))
        better = _better_input(engine.manifest, faces)
        if better:
            yield better
        elif self.separation.decidability < LEAST_DECIDABILITY:
            genuine, impostor = self.separation.genuine, self.separation.impostor
            yield (
                f"the vectors do not distinguish people: the mean cosine is {genuine:.2f} for pairs of one "
                f"person and {impostor:.2f} for pairs of two; check colour, mean, scale and template, or let "
                "`likeness packs new` find them"
            )
        engine.scorer  # noqa: B018 - a cohort of another size is reported as the pack's fault


def _detector_as_embedder(manifest: Manifest) -> str:
    """A detector in the role of the embedder: its outputs can be read as vectors, but tell nothing of people."""
    detector, embedder = (manifest.path(manifest.role(name).file) for name in ("detector", "embedder"))
    family = family_in(embedder)
    if not family:
        return ""
    described = f"{embedder.name} (the embedder) is a detector of the family {family}"
    if not family_in(detector):
        return f"{described}: exchange the files of [roles.detector] and [roles.embedder]"
    return f"{described}: name a network that gives a vector for each face"


def _better_input(manifest: Manifest, faces: Sequence[LocatedFace]) -> str:
    """Channels in another order, or other numbers, with which the embedder distinguishes people clearly better."""
    graph = read_embedder(manifest.path(manifest.role("embedder").file))
    better = better_choice(graph, faces, manifest.embedder_input())
    if better is None:
        return ""
    choice, figures = better
    return (
        "the embedder distinguishes people clearly better if it is fed otherwise: its decidability is "
        f'{figures[1]:.2f}, not {figures[0]:.2f}, with colour = "{choice.colour}", mean = {list(choice.mean)}, '
        f"scale = {choice.scale:g}; write that, or let `likeness packs new` find how it is fed"
    )
