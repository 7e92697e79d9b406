"""The labelled portraits on which choices are tried: the sample portraits, or photos of the user."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness import packs
from likeness.errors import PackInvalid, RequestError
from likeness.evaluation.photo_table import read_photo_table
from likeness.image import open_image
from likeness.packs.progress import Progress
from likeness.pipeline import decoded
from likeness.vision.alignment import similarity_transform, warp_chip
from likeness.vision.detection import Detections, Detector
from likeness.vision.pyramid import Pyramid
from likeness.vision.suppression import areas
from likeness.vision.turned import find

#: So many photos suffice to tell choices apart; more only take time.
MOST_PHOTOS = 60
#: So many photos of a person are taken before the next person's turn.
_A_TURN = 3
#: Each chip is also shown in a third of its pixels, and with so much of its brightness.
_COARSER, _DARKER = 3, 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A photo of one person."""

    name: str
    person: str
    photo: Pyramid


@dataclass(frozen=True, slots=True, eq=False)
class LocatedFace:
    """The main face of a portrait with the five points (5, 2) of its detector, px of the photo."""

    portrait: Portrait
    points: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Chips:
    """Chips (N, S, S, 3) uint8 RGB: of each portrait one as it is, one coarser and darker (`degraded`)."""

    pixels: NDArray[np.uint8]
    people: NDArray[np.str_]
    photos: NDArray[np.int64]
    degraded: NDArray[np.bool_]


def sample_portraits(progress: Progress | None = None) -> list[Portrait]:
    """The sample portraits of Likeness, installed if they are missing; PackError if they cannot be."""
    files = packs.samples(progress=progress)
    return [_portrait(path, re.split(r"[\d_.]", name)[0]) for name, path in files.items()]


def portraits_of(table: Path) -> list[Portrait]:
    """The photos of a table (image, person), at most MOST_PHOTOS, three of each person first, of people with several
    photos before others.

    Photos that cannot be read are left out. Raises PhotoTableError, and PackInvalid if fewer than two people are left
    or none has two photos.
    """
    listed = read_photo_table(table)
    found: list[Portrait] = []
    for place in _in_turns(listed.people):
        if len(found) == MOST_PHOTOS:
            break
        try:
            found.append(_portrait(table.parent / listed.photos[place], str(listed.people[place])))
        except (OSError, RequestError):
            continue
    people = [each.person for each in found]
    if len(set(people)) < 2 or len(set(people)) == len(people):
        raise PackInvalid(f"{table} needs readable photos of two people or more, and two of one of them")
    return found


def _in_turns(people: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of photos of `people` (N,) in the order in which they are taken."""
    counts = np.bincount(people)
    by_person = np.argsort(people, kind="stable")
    earlier = np.empty(len(people), np.int64)  # photos of the same person
    earlier[by_person] = np.arange(len(people)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.lexsort((earlier, people, -np.minimum(counts[people], _A_TURN), earlier // _A_TURN))


def located(detector: Detector, portraits: Sequence[Portrait]) -> list[LocatedFace]:
    """The main faces that `detector` finds, of the portraits in which it finds one."""
    found = []
    for portrait in portraits:
        faces, _ = find(detector, portrait.photo)
        if len(faces):
            found.append(LocatedFace(portrait, faces.points[main_face(faces)]))
    return found


def main_face(faces: Detections) -> int:
    """The index of the face with the highest product of score and area."""
    return int(np.argmax(faces.scores * areas(faces.boxes)))


def chips_of(faces: Sequence[LocatedFace], template: NDArray[np.float64], size_px: int) -> Chips:
    """The chips of faces, with their points brought to `template` (5, 2) px."""
    pixels: list[NDArray[np.uint8]] = []
    for face in faces:
        chip = warp_chip(face.portrait.photo, similarity_transform(face.points, template), size_px)
        small = cv2.resize(chip, (size_px // _COARSER,) * 2, interpolation=cv2.INTER_AREA)
        degraded = cv2.resize(small, (size_px,) * 2).astype(np.float32) * _DARKER
        pixels += [chip, degraded.astype(np.uint8)]
    places = np.repeat(np.arange(len(faces)), 2)
    people = np.repeat([face.portrait.person for face in faces], 2)
    return Chips(np.array(pixels), people, places, np.arange(len(places)) % 2 == 1)


def _portrait(path: Path, person: str) -> Portrait:
    return Portrait(path.name, person, decoded(open_image(path)))
