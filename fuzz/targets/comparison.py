"""Whole comparisons, a damaged photo as source and as target: what follows decoding gets odd pixels."""

import io
import random
from functools import cache

from PIL import Image

from fuzz.jpeg_parts import jpeg_seeds
from fuzz.png_parts import png_seeds
from fuzz.target import Target
from fuzz.targets.isolated_photos import mutate
from likeness.comparer import Comparer, SourceFace
from likeness.errors import RequestError


@cache
def portrait() -> Image.Image:
    """A face, 240 x 240."""
    from skimage import data

    return Image.fromarray(data.astronaut()[20:220, 130:330]).resize((240, 240))


@cache
def comparer() -> tuple[Comparer, SourceFace]:
    """The engine with the standard pack, and a face to compare with."""
    whole = io.BytesIO()
    portrait().save(whole, "PNG")
    made = Comparer(threads=1)
    return made, made.prepare(whole.getvalue())


def run(data: bytes) -> None:
    """Both roles."""
    engine, source = comparer()
    engine.compare(source, data).to_dict()
    engine.prepare(data)


def cut(data: bytes, chance: random.Random) -> bytes:
    """A change of the photo, mostly one that leaves a picture."""
    return mutate(data, chance)


TARGET = Target(
    run,
    (RequestError,),
    lambda: [*jpeg_seeds(portrait()), *png_seeds(portrait())[:5]],
    mutate=cut,
    max_bytes=300_000,
)
