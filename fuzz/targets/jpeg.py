"""JPEG as the server opens it: header checks, the estimate of cost, decoding in this process."""

from fuzz.jpeg_parts import drawing, jpeg_seeds, mutated_jpeg
from fuzz.target import Target
from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat
from likeness.image import Reduction, open_image
from likeness.server.decoding_cost import decoding_cost

SIZES: tuple[Reduction, ...] = (1, 2, 4, 8)


def run(data: bytes) -> None:
    """Decodes at the reduction that the length selects, so that an input always does the same."""
    decoding_cost((data, b""))
    image = open_image(data, name="source photo")
    reduction = SIZES[len(data) % 4]
    pixels = image.pixels(reduction)
    assert pixels.shape == (-(-image.height // reduction), -(-image.width // reduction), 3), pixels.shape
    assert pixels.dtype == "uint8"


TARGET = Target(
    run,
    (InvalidImageFormat, ImageTooLarge, ImageTooSmall),
    lambda: jpeg_seeds(drawing()),
    mutate=mutated_jpeg,
    max_bytes=64 * 1024,
    corpora=("jpeg",),
)
