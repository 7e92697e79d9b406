"""Photos damaged at random: bits flipped, pieces cut, duplicated or zeroed, lengths falsified."""

import io
import random
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image
from skimage import data


def seeds(side: int = 160) -> list[tuple[str, bytes]]:
    """Small photos of a face in many encodings, by name."""
    photo = Image.fromarray(data.astronaut()[20:220, 130:330]).resize((side, side))
    translucent = photo.copy()
    translucent.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, side).astype(np.uint8), (side, 1))))
    tags = Image.Exif()
    tags[0x0112] = 6
    made = []
    for name, image, kind, options in (
        ("baseline", photo, "JPEG", {"quality": 85}),
        ("progressive", photo, "JPEG", {"quality": 85, "progressive": True}),
        ("cmyk", photo.convert("CMYK"), "JPEG", {}),
        ("grey", photo.convert("L"), "JPEG", {}),
        ("exif", photo, "JPEG", {"exif": tags, "restart_marker_blocks": 4}),
        ("png", photo, "PNG", {}),
        ("palette", photo.convert("P"), "PNG", {"transparency": 0}),
        ("alpha", translucent, "PNG", {"exif": tags}),
        ("animation", photo, "PNG", {"save_all": True, "append_images": [photo.rotate(90)]}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made.append((name, buffer.getvalue()))
    return made


def mutated(photo: bytes, chance: random.Random) -> bytes:
    """`photo` with one to five kinds of damage; half of the PNGs with corrected checksums."""
    damaged = bytearray(photo)
    for _ in range(chance.randint(1, 5)):
        # Headers are short and matter most: half of the damage is there.
        place = chance.randrange(min(len(damaged), 700) if chance.random() < 0.5 else len(damaged))
        length = chance.choice((1, 2, 4, 16, 200))
        match chance.randrange(7):
            case 0:
                damaged[place] ^= 1 << chance.randrange(8)
            case 1:
                damaged[place : place + length] = chance.randbytes(length)
            case 2:
                del damaged[place : place + length]
            case 3:
                damaged[place:place] = damaged[place : place + length]
            case 4:
                damaged[place : place + length] = chance.choice((b"\x00", b"\xff", b"\x7f")) * length
            case 5:
                damaged[place:place] = bytes([0xFF, chance.randrange(0xC0, 0x100)])
            case _:
                del damaged[max(place, 20) :]
        if len(damaged) < 20:
            break
    made = bytes(damaged)
    return mended(made) if made.startswith(b"\x89PNG") and chance.random() < 0.5 else made


def mended(png: bytes) -> bytes:
    """`png` with correct checksums, so that damage reaches the decoder."""
    made, position = [png[:8]], 8
    while position + 12 <= len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        end = min(position + 8 + length, len(png) - 4)
        content = png[position + 4 : end]
        made.append((len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big"))
        position = end + 4
    return b"".join(made)


def photos(seed: int) -> Iterator[tuple[str, bytes]]:
    """An endless series of damaged photos with unique names, the same for the same seed."""
    chance = random.Random(seed)
    originals = seeds()
    number = 0
    while True:
        name, photo = originals[number % len(originals)]
        yield f"{seed}-{number}-{name}", mutated(photo, chance)
        number += 1
