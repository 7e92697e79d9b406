"""What is done of a photo's analysis while it is searched."""

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from likeness.analysis import _decoded_meanwhile
from likeness.crew import NOBODY, Crew
from likeness.errors import InvalidImageFormat
from likeness.image import Image, open_image
from likeness.stopwatch import Stopwatch


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(1)
    yield crew
    crew.close()


def photo(*, kept: int | None = None) -> Image:
    encoded = bytes(cv2.imencode(".png", np.full((120, 160, 3), 90, np.uint8))[1])
    return open_image(encoded[:kept])


def wait_for_decoding(watch: Stopwatch) -> None:
    end = time.monotonic() + 20
    while "decode" not in watch.seconds and time.monotonic() < end:
        time.sleep(0.001)
    assert "decode" in watch.seconds


def test_a_photo_is_decoded_by_a_helper_who_has_nothing_else_to_do(crew: Crew) -> None:
    watch = Stopwatch()
    with _decoded_meanwhile(photo(), 1, watch, crew):
        wait_for_decoding(watch)


def test_nobody_waits_for_a_helper_who_is_busy(crew: Crew) -> None:
    watch, let_go = Stopwatch(), threading.Event()
    crew.submit(let_go.wait, 20)
    with _decoded_meanwhile(photo(), 1, watch, crew):
        pass
    let_go.set()
    with _decoded_meanwhile(photo(), 1, watch, NOBODY):
        pass
    assert watch.seconds == {}


def test_a_photo_that_cannot_be_decoded_fails_where_it_is_asked_for(crew: Crew) -> None:
    watch, broken = Stopwatch(), photo(kept=60)
    with _decoded_meanwhile(broken, 1, watch, crew):
        wait_for_decoding(watch)
    with pytest.raises(InvalidImageFormat):
        broken.pixels()
