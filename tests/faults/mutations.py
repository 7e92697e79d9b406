"""Photos of a face, damaged by the rules of their formats: as segments and chunks, or as bytes (see `fuzz`)."""

import random
from collections.abc import Iterator

from fuzz.jpeg_parts import jpeg_seeds, mutated_jpeg
from fuzz.png_parts import mutated_png, png_seeds
from PIL import Image
from skimage import data


def photos(seed: int) -> Iterator[tuple[str, bytes]]:
    """An endless series of damaged photos with unique names, the same for the same seed."""
    face = Image.fromarray(data.astronaut()[20:220, 130:330]).resize((160, 160))
    originals = [("jpeg", each) for each in jpeg_seeds(face)] + [("png", each) for each in png_seeds(face)[:5]]
    chance = random.Random(seed)
    number = 0
    while True:
        kind, photo = originals[number % len(originals)]
        damaged = (mutated_jpeg if kind == "jpeg" else mutated_png)(photo, chance)
        yield f"{seed}-{number}.{kind}", damaged
        number += 1
