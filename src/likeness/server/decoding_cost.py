"""What decoding the photos of a request will take, read from their headers before it is spent."""

from collections.abc import Sequence

from likeness.aws.shapes import ImageReference
from likeness.errors import RequestError

#: A picture as the decoder makes it, its copy the right way up, and its reductions.
_BYTES_PER_PIXEL = 8


def decoding_cost(photos: Sequence[ImageReference]) -> tuple[float, int]:
    """Seconds of processor time, and bytes of pixels. A photo that will be refused, or is not here yet, costs nothing.

    Reads megabytes of headers in some files: for large ones, not in the event loop.
    """
    # Not imported before a worker is one of its own: numpy starts threads, which do not survive a fork.
    from likeness.image import open_image

    seconds, pixel_bytes = 0.0, 0
    for photo in photos:
        if not isinstance(photo, bytes):
            continue
        try:
            image = open_image(photo)
        except RequestError:
            continue
        seconds += image.decoding_seconds
        pixel_bytes += _BYTES_PER_PIXEL * image.width * image.height
    return seconds, pixel_bytes
