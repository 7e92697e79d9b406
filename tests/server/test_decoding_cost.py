"""The decoding cost of a request, from headers."""

from io import BytesIO

from PIL import Image

from likeness.aws.shapes import S3ObjectReference
from likeness.server.admission import COSTLY_SECONDS
from likeness.server.decoding_cost import decoding_cost


def png(side: int) -> bytes:
    with BytesIO() as file:
        Image.new("L", (side, side)).save(file, "PNG")
        return file.getvalue()


def test_the_photos_of_a_request_add_up() -> None:
    seconds, pixel_bytes = decoding_cost((png(1000), png(2000)))
    assert 0 < seconds < COSTLY_SECONDS
    assert pixel_bytes == 8 * 5_000_000


def test_decoders_share_the_pixels_with_the_server() -> None:
    assert decoding_cost((png(100),), isolated=True)[1] == 11 * 10_000


def test_the_default_limits_do_not_apply() -> None:
    """They may be other than the defaults, and what they refuse is refused by the engine."""
    assert decoding_cost((png(40),))[1] == 8 * 1600


def test_an_invalid_or_missing_photo_costs_nothing() -> None:
    assert decoding_cost((b"no photo", S3ObjectReference("bucket", "name", None))) == (0.0, 0)
