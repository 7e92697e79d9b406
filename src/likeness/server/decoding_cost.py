"""What decoding the photos of a request will take, read from their headers before it is spent."""

import math
import sys
from collections.abc import Sequence

from likeness.aws.shapes import ImageReference
from likeness.errors import RequestError

#: A picture as the decoder makes it, its copy the right way up, and its reductions.
_BYTES_PER_PIXEL = 8


def decoding_cost(photos: Sequence[ImageReference]) -> tuple[float, int]:
    """Seconds of processor time, and bytes of pixels. What is no photo, or is not here yet, costs nothing.

    Reads megabytes of headers in some files: for large ones, not in the event loop.
    """
    # Not imported before the workers are forked: numpy starts threads, which do not survive a fork.
    from likeness.image import ImageLimits, open_image

    # What is over the server's limits is refused by the engine, and costs what it costs until then.
    limits = ImageLimits(min_side_px=1, max_pixels=sys.maxsize, max_bytes=sys.maxsize, max_decoding_seconds=math.inf)
    seconds, pixel_bytes = 0.0, 0
    for photo in photos:
        if not isinstance(photo, bytes):
            continue
        try:
            image = open_image(photo, limits=limits)
        except RequestError:
            continue
        seconds += image.decoding_seconds
        pixel_bytes += _BYTES_PER_PIXEL * image.width * image.height
    return seconds, pixel_bytes
