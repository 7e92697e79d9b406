"""PNG as the server opens it: header checks, the estimate of cost, decoding in this process."""

from fuzz.jpeg_parts import drawing
from fuzz.png_parts import mutated_png, png_seeds
from fuzz.target import Target
from fuzz.targets.jpeg import run
from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat

TARGET = Target(
    run,
    (InvalidImageFormat, ImageTooLarge, ImageTooSmall),
    lambda: png_seeds(drawing()),
    mutate=mutated_png,
    max_bytes=64 * 1024,
    corpora=("png",),
)
