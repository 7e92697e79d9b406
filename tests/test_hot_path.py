"""The cost of one comparison, counted rather than timed: network runs, decodings, input values, Python calls, memory.

A change that makes the hot path longer fails here on every machine, however busy; `make bench` measures seconds. Bounds
are a little above the counts; lower them when the path gets shorter.
"""

import gc
import sys
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg

from likeness import Comparer, ComparerSettings
from likeness.runtime.sessions import OnnxNetwork

pytestmark = pytest.mark.engine

#: Python functions that may be called for a pair of photos with one face each, and for each further face.
CALLS_A_PAIR, CALLS_A_FACE = 1_200, 340
#: Bytes that numpy and Python may hold beyond those of the encoded photos, at the peak, for a 1280x886 pair.
PEAK_BYTES = 6_000_000


class Counted:
    """Which networks ran on what, and what was decoded, while it was in place."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.fed: Counter[str] = Counter()  # pictures, chips or crops
        self.values: Counter[str] = Counter()  # numbers in them
        self.decodings: list[int] = []  # the reduction of each

    def of(self, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> "Counted":
        run, decode = OnnxNetwork.__call__, simplejpeg.decode_jpeg

        def counted_run(network: OnnxNetwork, *inputs: Any) -> Any:
            role = network._file.name
            self.runs[role] += 1
            self.fed[role] += len(inputs[0])
            self.values[role] += inputs[0].size
            return run(network, *inputs)

        def counted_decode(data: bytes, **options: Any) -> Any:
            self.decodings.append(options["min_factor"])
            return decode(data, **options)

        with monkeypatch.context() as patch:
            patch.setattr(OnnxNetwork, "__call__", counted_run)
            patch.setattr(simplejpeg, "decode_jpeg", counted_decode)
            work()
        return self


@pytest.fixture(scope="module")
def single(standard_pack: None) -> Iterator[Comparer]:
    """A warm comparer on one thread, so that all that is done is done in the thread that counts."""
    with Comparer(threads=1) as comparer:
        comparer.warm_up()
        yield comparer


@pytest.fixture(scope="module")
def photos(portraits: dict[str, Path]) -> dict[str, bytes]:
    """Portraits of one person in several sizes, and a group of nine."""
    made = {}
    for size in ((640, 480), (1280, 886), (4032, 3024)):
        for name in ("obama.jpg", "obama2.jpg"):
            made[f"{size[0]} {name}"] = _jpeg(_framed(_read(portraits[name]), *size))
    row = np.hstack([_framed(_read(portraits["obama.jpg"]), 320, 360)] * 3)
    made["group of 9"] = _jpeg(np.vstack([row] * 3))
    return made


def _read(path: Path) -> Any:
    return cv2.imread(str(path))


def _framed(photo: Any, width: int, height: int) -> Any:
    """The photo as high as the frame, in its middle."""
    scale = min(height / photo.shape[0], width / photo.shape[1])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    frame = np.full((height, width, 3), 90, np.uint8)
    left = (width - small.shape[1]) // 2
    frame[: small.shape[0], left : left + small.shape[1]] = small
    return frame


def _jpeg(photo: Any) -> bytes:
    return bytes(cv2.imencode(".jpg", photo)[1])


def _pair(comparer: Comparer, photos: dict[str, bytes], width: int) -> Callable[[], object]:
    return lambda: comparer.compare(photos[f"{width} obama.jpg"], photos[f"{width} obama2.jpg"], similarity_threshold=0)


def _calls(work: Callable[[], object]) -> int:
    """The Python functions that `work` calls in this thread."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("width", [640, 1280, 4032])
def test_networks_run_no_more_often_than_one_face_needs(
    single: Comparer, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    counted = Counted().of(_pair(single, photos, width), monkeypatch)
    assert counted.runs["yunet.onnx"] == 2  # either photo once
    assert counted.runs["face-mesh.onnx"] == 2
    assert counted.fed["mobilefacenet.onnx"] == 2 * len(single._engine.embedder.aligner.views)
    assert counted.runs["expression.onnx"] == 1  # of the target's face alone
    assert counted.runs.total() == 2 + 2 + 2 + 1  # and no network else


@pytest.mark.parametrize(("width", "reductions"), [(640, [1, 1]), (1280, [1, 1]), (4032, [4, 4])])
def test_each_photo_is_decoded_once_and_no_larger_than_needed(
    single: Comparer, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, width: int, reductions: list[int]
) -> None:
    assert Counted().of(_pair(single, photos, width), monkeypatch).decodings == reductions


def test_no_more_pixels_of_a_large_photo_are_searched_than_promised(
    single: Comparer, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {width: Counted().of(_pair(single, photos, width), monkeypatch) for width in (640, 1280, 4032)}
    searched = {640: 448 * 352, 1280: 544 * 384, 4032: 512 * 384}
    assert {width: each.values["yunet.onnx"] // 3 for width, each in counted.items()} == {
        width: 2 * pixels for width, pixels in searched.items()
    }


def test_a_group_costs_its_faces_and_nothing_else(
    single: Comparer, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, group = photos["640 obama.jpg"], photos["group of 9"]
    counted = Counted().of(lambda: single.compare(source, group, similarity_threshold=0), monkeypatch)
    faces = 1 + 9
    assert counted.runs["yunet.onnx"] <= 2 + 8 + 2  # a group is looked at finely as well, or its main face each way up
    assert faces <= counted.runs["face-mesh.onnx"] <= 1.3 * faces  # a few ask for another crop
    assert counted.fed["mobilefacenet.onnx"] == len(single._engine.embedder.aligner.views) * faces
    assert counted.runs["expression.onnx"] == 9


def test_attributes_that_are_not_asked_for_are_not_computed(
    standard_pack: None, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Comparer(threads=1, settings=ComparerSettings(face_attributes="default")) as plain:
        assert "expression.onnx" not in Counted().of(_pair(plain, photos, 640), monkeypatch).runs


def test_a_prepared_source_is_not_analysed_again(
    single: Comparer, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = single.prepare(photos["640 obama.jpg"])
    counted = Counted().of(lambda: single.compare(source, photos["640 obama2.jpg"]), monkeypatch)
    assert (counted.runs["yunet.onnx"], len(counted.decodings)) == (1, 1)


def test_the_number_of_python_calls_is_bounded(single: Comparer, photos: dict[str, bytes]) -> None:
    pair = _pair(single, photos, 640)
    pair()
    alone = _calls(pair)
    source = photos["640 obama.jpg"]
    group = _calls(lambda: single.compare(source, photos["group of 9"], similarity_threshold=0))
    assert alone <= CALLS_A_PAIR
    assert (group - alone) / 8 <= CALLS_A_FACE


def test_memory_stays_within_its_bound(single: Comparer, photos: dict[str, bytes]) -> None:
    pair = _pair(single, photos, 1280)
    pair()
    tracemalloc.start()
    try:
        pair()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= PEAK_BYTES


def test_no_photo_waits_for_the_garbage_collector(
    standard_pack: None, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes in a circle of references stay until Python looks for such: a server had 315 MB instead of 216."""
    decoded: list[weakref.ref[Any]] = []
    decode = simplejpeg.decode_jpeg

    def remembered(data: bytes, **options: Any) -> Any:
        pixels = decode(data, **options)
        decoded.append(weakref.ref(pixels))
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", remembered)
    with Comparer(threads=2) as comparer:
        comparer.warm_up()
        gc.disable()
        try:
            for target in ("640 obama2.jpg", "1280 obama2.jpg", "group of 9"):
                comparer.compare(photos["640 obama.jpg"], photos[target], similarity_threshold=0)
            waiting = [pixels() is not None for pixels in decoded]
        finally:
            gc.enable()
    assert len(waiting) >= 6
    assert not any(waiting)
