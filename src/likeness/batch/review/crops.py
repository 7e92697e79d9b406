"""A face cut out of its photo, upright and centred on the eyes, as a small JPEG."""

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from likeness.faces import Face
from likeness.image import ImageLimits, Photo, open_image

SIDE_PX = 192
#: The positions of the eyes; their distance is 30 % of the side, so that the whole head is visible.
_EYES = np.array([[0.35, 0.42], [0.65, 0.42]]) * SIDE_PX
_QUALITY = 82


def face_crop(photo: Photo, face: Face, limits: ImageLimits) -> bytes:
    """The face as a JPEG of 192 by 192 pixels. Raises RequestError for a photo that can no longer be used."""
    image = open_image(photo, name="photo", limits=limits)
    points = {each.type: (each.x, each.y) for each in face.landmarks}
    eyes = np.array([points["eyeLeft"], points["eyeRight"]]) * (image.width, image.height)
    # Left is the left of the picture; for an upside-down face they are swapped, and the rotation undoes that.
    distance_px = float(np.linalg.norm(eyes[1] - eyes[0]))
    needed = 0.3 * SIDE_PX / max(distance_px, 1.0)
    reduction = image.reduction_for(max(image.width, image.height) * min(1.0, needed))
    pixels = image.pixels(reduction)
    crop = cv2.warpAffine(
        pixels, _moved(eyes / reduction), (SIDE_PX, SIDE_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(crop), quality=_QUALITY)
    return encoded


def _moved(eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity transform (2, 3) that moves the eyes (2, 2) to their positions."""
    a, b = (complex(*point) for point in eyes)
    c, d = (complex(*point) for point in _EYES)
    turn = (d - c) / (b - a) if a != b else complex(1.0, 0.0)
    shift = c - turn * a
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
