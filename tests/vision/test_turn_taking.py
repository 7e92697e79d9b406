"""Which searches wait for one another, and that they find what the detector finds."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError, Semaphore

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.vision.detector import Detections
from likeness.vision.turn_taking import TurnTaking

SMALL, LARGE = np.zeros((240, 320, 3), np.uint8), np.zeros((448, 800, 3), np.uint8)
FOUND = Detections(np.array([[1, 2, 3, 4]], np.float32), np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))


class Meeting:
    """A detector whose searches end when two of them are under way at once, or after a while in which none was."""

    seen_well_px = 24.0

    def __init__(self) -> None:
        self._both = Barrier(2)
        self.met = False

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        try:
            self._both.wait(0.2)
            self.met = True
        except BrokenBarrierError:
            self._both.reset()
        return FOUND


@pytest.mark.parametrize(
    ("pictures", "turns", "meet"),
    [((SMALL, SMALL), 1, True), ((SMALL, LARGE), 1, True), ((LARGE, LARGE), 1, False), ((LARGE, LARGE), 2, True)],
)
def test_large_searches_take_turns(pictures: tuple[NDArray[np.uint8], ...], turns: int, meet: bool) -> None:
    meeting = Meeting()
    detector = TurnTaking(meeting, Semaphore(turns))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(detector.detect, pictures))
    assert meeting.met == meet
    assert found == [FOUND, FOUND]


def test_a_search_that_fails_gives_its_turn_back() -> None:
    class Failing(Meeting):
        def detect(self, pixels: NDArray[np.uint8]) -> Detections:
            raise ValueError(pixels.shape)

    turns = Semaphore(1)
    with pytest.raises(ValueError, match="448"):
        TurnTaking(Failing(), turns).detect(LARGE)
    assert turns.acquire(blocking=False)


def test_it_sees_as_well_as_its_detector() -> None:
    assert TurnTaking(Meeting(), Semaphore(1)).seen_well_px == 24.0
