"""A pack from two networks of a user: read, tried, written."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.authoring.judgements import LEAST_DECIDABILITY, points_fault
from likeness.authoring.networks import Graph, detector_family, read_detector, read_embedder
from likeness.authoring.portraits import LocatedFace, Portrait, located
from likeness.authoring.trials import TEMPLATES, FoundDetector, FoundEmbedder, try_detector, try_embedder
from likeness.engine import Engine
from likeness.errors import PackInvalid
from likeness.packs.manifest import MANIFEST_NAME, Role
from likeness.packs.tables import to_toml

#: A detector that finds fewer of the portraits' faces than this share is not understood.
_LEAST_FOUND = 0.5


@dataclass(frozen=True, slots=True)
class Networks:
    """The files of a new pack, and what the user states: the licence, and the embedder's template if it is known, one
    of `likeness.authoring.trials.TEMPLATES`.
    """

    detector: Path
    embedder: Path
    licence: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True)
class NewPack:
    """A written pack: its folder, what the graphs say, and what the trials found."""

    folder: Path
    detector_graph: str
    embedder_graph: str
    detector: FoundDetector
    embedder: FoundEmbedder
    faces: int
    portraits: int


def make_pack(folder: Path, networks: Networks, portraits: Sequence[Portrait]) -> NewPack:
    """Writes a pack into `folder`, which may exist if it is empty; returns what was found.

    Raises PackInvalid, with what to do, if the networks are not understood or do not distinguish people.
    """
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise PackInvalid(f"{folder} exists; name a new folder for the pack")
    if networks.template not in ("", *TEMPLATES):
        raise PackInvalid(f"there is no template {networks.template!r}; known are {', '.join(TEMPLATES)}")
    with _folder_beside(folder) as work:
        detector_graph, embedder_graph = (
            read_detector(networks.detector, work / "d"),
            read_embedder(networks.embedder, work / "e"),
        )
        contents = {"detector.onnx": detector_graph.whole(), "embedder.onnx": embedder_graph.whole()}
        detector = _detector(networks.detector, detector_graph, portraits)
        faces = _located(networks.detector, detector, portraits)
        embedder = _embedder(networks, embedder_graph, faces)
        text = to_toml(_manifest(folder, networks, contents, detector.role, embedder.parameters))
        _write(folder, work / "pack", {**contents, MANIFEST_NAME: text.encode()})
    return NewPack(
        folder, detector_graph.described, embedder_graph.described, detector, embedder, len(faces), len(portraits)
    )


@contextmanager
def _folder_beside(folder: Path) -> Iterator[Path]:
    """A temporary folder next to `folder`; PackInvalid, with what to do, for what cannot be read or written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
            yield Path(made)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        raise PackInvalid(
            f"{folder} cannot be written ({named}{error.strerror}); free some space there, or name another folder"
        ) from error


def _write(folder: Path, work: Path, contents: Mapping[str, bytes]) -> None:
    """Writes the files into `work`, opens the pack there, and moves them into `folder`; PackInvalid if it cannot be."""
    work.mkdir()
    for name, content in contents.items():
        (work / name).write_bytes(content)
    written = Engine(work)
    _ = written.detector, written.embedder
    folder.mkdir(exist_ok=True)
    for name in contents:
        shutil.move(work / name, folder / name)


def _detector(file: Path, graph: Graph, portraits: Sequence[Portrait]) -> FoundDetector:
    family = detector_family(graph)
    if not family:
        raise PackInvalid(
            f"{file} {graph.described}: these are not the outputs of YuNet (12), SCRFD with five points (9) or "
            "CenterFace (4); other detectors need a family of their own (docs/packs.md)"
        )
    return try_detector(graph, family, "detector.onnx", portraits)


def _located(file: Path, found: FoundDetector, portraits: Sequence[Portrait]) -> list[LocatedFace]:
    faces = located(found.detector, portraits)
    if len(faces) < _LEAST_FOUND * len(portraits) or len({face.portrait.person for face in faces}) < 2:
        raise PackInvalid(
            f"{file}, read as {found.role.family}, finds {len(faces)} of {len(portraits)} faces on the portraits; is "
            "it of another family, or are the photos without faces?"
        )
    fault = points_fault([face.points for face in faces])
    if fault:
        raise PackInvalid(f"{file}, read as {found.role.family}, {fault}")
    return faces


def _embedder(networks: Networks, graph: Graph, faces: Sequence[LocatedFace]) -> FoundEmbedder:
    file, found = networks.embedder, try_embedder(graph, faces, networks.template)
    if found.best.decidability >= LEAST_DECIDABILITY:
        return found
    if found.fault:
        raise PackInvalid(
            f"{file} {found.fault}, with any choice tried: it is not a face embedder, or was exported wrong"
        )
    raise PackInvalid(
        f"{file} does not distinguish people with any choice tried (decidability {found.best.decidability:.1f}, at "
        f"least {LEAST_DECIDABILITY:g} needed): it is not a face embedder, or needs an input that docs/packs.md does "
        f"not describe{graph.other_outputs}"
    )


def _manifest(
    folder: Path, networks: Networks, contents: Mapping[str, bytes], detector: Role, embedder: Mapping[str, Any]
) -> dict[str, Any]:
    origins = {"detector.onnx": networks.detector, "embedder.onnx": networks.embedder}
    return {
        "pack": {"name": _pack_name(folder), "version": "1", "summary": "Made with likeness packs new."},
        "files": {
            name: {
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "licence": networks.licence,
                "origin": origins[name].name,
            }
            for name, content in contents.items()
        },
        "roles": {
            "detector": {"file": detector.file, "family": detector.family, **detector.parameters},
            "embedder": {"file": "embedder.onnx", "family": _pack_name(networks.embedder.with_suffix("")), **embedder},
        },
    }


def _pack_name(path: Path) -> str:
    """A name for a manifest made of a path's last part."""
    return re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:64].strip("-") or "pack"
