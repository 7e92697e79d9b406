"""A detector whose large searches take turns, so that those of several threads do not add up in memory."""

from threading import Semaphore

import numpy as np
from numpy.typing import NDArray

from likeness.vision.detector import Detections, Detector

#: From this many pixels on a search waits its turn. CenterFace needs some 130 bytes a pixel: 45 MB for 800x448, which a
#: photo with small faces needs, and at most 12 MB for the searches that end with one large face.
_LARGE_PIXELS = 200_000


class TurnTaking:
    """Searches as `detector` does; of those that `turns` counts, only so many large ones at a time."""

    def __init__(self, detector: Detector, turns: Semaphore) -> None:
        self._detector = detector
        self._turns = turns

    @property
    def seen_well_px(self) -> float:
        """As `Detector.seen_well_px`."""
        return self._detector.seen_well_px

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """As `Detector.detect`."""
        if pixels.shape[0] * pixels.shape[1] < _LARGE_PIXELS:
            return self._detector.detect(pixels)
        with self._turns:
            return self._detector.detect(pixels)
