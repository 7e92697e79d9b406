"""Vectors 23 to 26 of specification section 13: rotated photos, faces cut by the border, and a crowd."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.engine

Make = Callable[..., dict[str, Any]]


def center(box: dict[str, float]) -> np.ndarray[Any, Any]:
    return np.array([box["Left"] + box["Width"] / 2, box["Top"] + box["Height"] / 2])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


#: How Exif's orientation is undone; storing the inverse makes a photo that looks the same once it is corrected.
STORE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """`image` stored so that Exif's `orientation` shows it upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = image.transpose(STORE[orientation]) if orientation in STORE else image
    return encoded(pixels, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_vector_23_exif_orientations(orientation: int, wire: Any, request_with: Make, photos: Any) -> None:
    upright = photos.pixels(photos.person)
    expected = wire.post(request_with(target=photos.jpeg(upright))).json
    found = wire.post(request_with(target=turned(upright, orientation)))
    assert found.status == 200, found.body
    boxes = [each["FaceMatches"][0]["Face"]["BoundingBox"] for each in (found.json, expected)]
    for name in ("Left", "Top", "Width", "Height"):
        assert boxes[0][name] == pytest.approx(boxes[1][name], abs=0.02)


def test_vector_24_a_png_is_taken_as_stored(wire: Any, request_with: Make, photos: Any) -> None:
    image = photos.pixels(photos.person)
    found = wire.post(request_with(target=turned(image, 6, "PNG"), SimilarityThreshold=0))
    assert found.status == 200, found.body
    upright = wire.post(request_with()).json["SourceImageFace"]["BoundingBox"]
    x, y = center(upright)
    face = found.json["FaceMatches"][0]["Face"]
    # Stored turned to the left: x becomes the distance from the bottom. The face is reported where it is stored.
    assert center(face["BoundingBox"]) == pytest.approx([y, 1 - x], abs=0.05)
    assert abs(face["Pose"]["Roll"]) > 45


def test_vector_25_a_face_cut_by_the_border(wire: Any, request_with: Make, photos: Any) -> None:
    image = photos.pixels(photos.person)
    box = wire.post(request_with()).json["SourceImageFace"]["BoundingBox"]
    cut = round((box["Left"] + 0.22 * box["Width"]) * image.width)
    found = wire.post(request_with(target=photos.jpeg(image.crop((cut, 0, image.width, image.height)))))
    assert found.status == 200, found.body
    faces = [match["Face"] for match in found.json["FaceMatches"]] + found.json["UnmatchedFaces"]
    assert any(face["BoundingBox"]["Left"] < 0 for face in faces)


def test_vector_26_more_than_a_hundred_faces(wire: Any, request_with: Make, photos: Any) -> None:
    image = photos.pixels(photos.person)
    box = wire.post(request_with()).json["SourceImageFace"]["BoundingBox"]
    x, y = center(box)
    half = 0.9 * box["Height"] * image.height
    head = image.crop(
        tuple(
            round(v)
            for v in (x * image.width - half, y * image.height - half, x * image.width + half, y * image.height + half)
        )
    ).resize((110, 110))
    crowd = Image.new("RGB", (12 * 110, 10 * 110))
    for number in range(120):
        crowd.paste(head, (number % 12 * 110, number // 12 * 110))
    found = wire.post(request_with(target=photos.jpeg(crowd)))
    assert found.status == 200, found.body
    assert len(found.json["FaceMatches"]) + len(found.json["UnmatchedFaces"]) == 100
