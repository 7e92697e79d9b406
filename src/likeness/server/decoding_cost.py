"""Estimates of the time and memory for decoding a request's photos, from their headers."""

import math
import sys
from collections.abc import Sequence

from likeness.aws.shapes import ImageReference
from likeness.errors import RequestError

#: The decoded picture, its copy after orientation, and its reduced versions.
_BYTES_PER_PIXEL = 8
#: What a decoder process adds to that: the picture in the memory that it shares with the server.
_SHARED_BYTES_PER_PIXEL = 3


def decoding_cost(photos: Sequence[ImageReference], *, isolated: bool = False) -> tuple[float, int]:
    """Seconds of processor time and bytes of pixels; 0 for what is not a photo or is not loaded yet.

    `isolated`: the photos are decoded in processes of their own.

    Some files have megabytes of headers: do not call it in the event loop for large ones.
    """
    # Not imported before the workers are forked: numpy starts threads, which do not survive a fork.
    from likeness.image import ImageLimits, open_image

    # Without limits: photos over the server's limits are estimated here too, and refused by the engine.
    limits = ImageLimits(min_side_px=1, max_pixels=sys.maxsize, max_bytes=sys.maxsize, max_decoding_seconds=math.inf)
    bytes_per_pixel = _BYTES_PER_PIXEL + (_SHARED_BYTES_PER_PIXEL if isolated else 0)
    seconds, pixel_bytes = 0.0, 0
    for photo in photos:
        if not isinstance(photo, bytes):
            continue
        try:
            image = open_image(photo, limits=limits)
        except RequestError:
            continue
        seconds += image.decoding_seconds
        pixel_bytes += bytes_per_pixel * image.width * image.height
    return seconds, pixel_bytes
