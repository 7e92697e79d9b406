"""JPEG and PNG decoded in an isolated process, as by a server with `isolate_decoding`; a lost decoder is a finding."""

import random
from functools import cache

from fuzz.jpeg_parts import drawing, jpeg_seeds, mutated_jpeg
from fuzz.png_parts import SIGNATURE, mutated_png, png_seeds
from fuzz.target import Target
from fuzz.targets.jpeg import SIZES
from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat
from likeness.image import ImageLimits, open_image
from likeness.isolation.decoders import Decoders


@cache
def decoders() -> Decoders:
    """One decoder process for all inputs."""
    return Decoders.for_photos(1, ImageLimits())


def run(data: bytes) -> None:
    """Decodes at the reduction that the length selects."""
    lost = decoders().lost.total()
    try:
        open_image(data, decode=decoders().decode).pixels(SIZES[len(data) % 4])
    finally:
        assert decoders().lost.total() == lost, dict(decoders().lost)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A change by the rules of the photo's format."""
    return (mutated_png if data.startswith(SIGNATURE) else mutated_jpeg)(data, chance)


TARGET = Target(
    run,
    (InvalidImageFormat, ImageTooLarge, ImageTooSmall),
    lambda: [*jpeg_seeds(drawing()), *png_seeds(drawing())],
    mutate=mutate,
    max_bytes=64 * 1024,
    corpora=("jpeg", "png"),
)
