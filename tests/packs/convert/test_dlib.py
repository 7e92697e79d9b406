"""dlib's ResNet: the converted network against dlib itself, and files that are not what they should be."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
import skimage.transform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.dlib import DatReader, convert_dlib_resnet, read_network

Run = Callable[..., list[NDArray[np.float32]]]
SHA256 = "3805bbbaa4c7af85ea3e45dad125510c21b0c2631e6f082b8a3e68f0223d60dd"


@pytest.fixture(scope="module")
def path(original: Callable[[str], Path]) -> Path:
    return original("dlib-resnet.onnx")


@pytest.fixture(scope="module")
def data(path: Path) -> bytes:
    return path.read_bytes()


@pytest.fixture(scope="module")
def converted(data: bytes) -> bytes:
    return convert_dlib_resnet(data)


@pytest.fixture(scope="module")
def run(converted: bytes, session: Callable[[bytes], Run]) -> Run:
    return session(converted)


def portraits(count: int) -> NDArray[np.uint8]:
    """Crops of the astronaut around her face, shifted and of several sizes, at 150×150."""
    photo, rng, crops = skimage.data.astronaut(), np.random.default_rng(7), []
    for _ in range(count):
        side, top, left = rng.integers(90, 200), rng.integers(20, 80), rng.integers(150, 200)
        crop = skimage.transform.resize(photo[top : top + side, left : left + side], (150, 150), anti_aliasing=True)
        crops.append((crop * 255).astype(np.uint8))
    return np.array(crops)


def test_equals_dlib_on_100_random_chips_and_on_portraits(path: Path, run: Run) -> None:
    dlib = pytest.importorskip("dlib", reason="the reference needs dlib-bin")
    noise = np.random.default_rng(1).integers(0, 256, (100, 150, 150, 3), dtype=np.uint8)
    chips = np.concatenate([noise, portraits(12)])
    reference = dlib.face_recognition_model_v1(str(path))
    expected = np.array([reference.compute_face_descriptor(chip, 0) for chip in chips])
    found = np.concatenate([run(chips=chips[i : i + 8])[0] for i in range(0, len(chips), 8)])
    assert found.shape == (112, 128)
    assert np.abs(found - expected).max() < 1e-5
    assert expected.std(axis=0).min() > 1e-3  # the chips are told apart: equal constants would not be a finding


def test_a_chip_has_the_same_embedding_in_any_batch(run: Run) -> None:
    chips = portraits(5)
    together = run(chips=chips)[0]
    alone = np.concatenate([run(chips=chip[np.newaxis])[0] for chip in chips])
    assert np.abs(together - alone).max() < 1e-6


def test_the_same_bytes_come_out_everywhere(converted: bytes) -> None:
    assert hashlib.sha256(converted).hexdigest() == SHA256


def test_reads_the_mean_colour_and_29_convolutions(data: bytes) -> None:
    mean, layers = read_network(data)
    assert mean == pytest.approx((122.782, 117.001, 104.298), abs=5e-4)
    assert sum(layer.kind == "con" for layer in layers) == 29
    assert layers[-1].fields == (128, 256)


@pytest.mark.parametrize(
    ("packed", "value"),
    [(b"\x01\x96", 150), (b"\x02\x80\x12", 4736), (b"\x81\x11", -17), (b"\x01\x00", 0)],
)
def test_packed_integers(packed: bytes, value: int) -> None:
    assert DatReader(packed).integer("a number") == value


def test_packed_numbers() -> None:
    assert DatReader(bytes.fromhex("036290f58111")).number("red") == pytest.approx(122.782, abs=5e-4)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(PackDamaged, match="dlib face recognition network"):
        convert_dlib_resnet(junk)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 20_000) | st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(data: bytes, kept: float) -> None:
    """`kept` is a number of bytes, or a part of the file."""
    length = kept if isinstance(kept, int) else int(kept * len(data))
    with pytest.raises(PackDamaged, match=r"expected .* at byte"):
        convert_dlib_resnet(data[:length])


def test_more_bytes_than_the_network_are_refused(data: bytes) -> None:
    with pytest.raises(PackDamaged, match="the end of the file"):
        convert_dlib_resnet(data + b"\x00")


#: Where there are names, shapes and flags between the weights; from the end when negative.
STRUCTURE = [0, 36, 290, 19_300, 19_383, 19_640, 19_713, -131_366, -131_230, -60]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STRUCTURE), st.integers(0, 59), st.integers(0, 255)), min_size=1, max_size=3))
def test_altered_bytes_give_a_network_or_a_clear_error(data: bytes, changes: list[tuple[int, int, int]]) -> None:
    """A changed weight cannot be seen here; the pack's SHA-256 sees it."""
    altered = bytearray(data)
    for start, further, byte in changes:
        altered[start + further] = byte
    with suppress(PackDamaged):  # anything else that is raised, a warning too, fails the test
        assert onnx.load_model_from_string(convert_dlib_resnet(bytes(altered))).graph.node
