"""YuNet from libfacedetection's library: the same network as OpenCV publishes, and invalid files."""

import hashlib
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.errors import PackDamaged
from likeness.packs.convert.elf import exported_numbers
from likeness.packs.convert.yunet import convert_yunet

Run = Callable[..., list[NDArray[np.float32]]]
SHA256 = "3264bf7c7d99bd1a0ebcaaccf89bdc567e7eea059fa5c48123ed8e1b76287ecd"


@pytest.fixture(scope="module")
def data(original: Callable[[str], Path]) -> bytes:
    return original("yunet.onnx").read_bytes()


@pytest.fixture(scope="module")
def weights(data: bytes) -> dict[str, NDArray[np.float32]]:
    return exported_numbers(data, "the library")


def test_the_same_bytes_come_out_everywhere(data: bytes) -> None:
    assert hashlib.sha256(convert_yunet(data)).hexdigest() == SHA256


def test_it_finds_the_astronaut(data: bytes, session: Callable[[bytes], Run]) -> None:
    photo = np.ascontiguousarray(skimage.data.astronaut())
    outputs = session(convert_yunet(data))(picture=photo[np.newaxis])
    assert [output.shape[1:] for output in outputs[::3]] == [(4096, 1), (4096, 1), (4096, 4), (4096, 10)]
    scores = np.sqrt(outputs[2] * outputs[5])[0, :, 0]  # at stride 32, where her face of 90 px is clearest
    row, column = np.divmod(int(scores.argmax()), 512 // 32)
    assert scores.max() > 0.8
    centre = (np.array([column, row]) + outputs[8][0, scores.argmax(), :2]) * 32
    assert centre == pytest.approx([224, 119], abs=8)


@pytest.mark.data
def test_it_is_the_network_that_opencv_publishes(data: bytes, session: Callable[[bytes], Run], data_dir: Path) -> None:
    """The library's weights are rounded to three digits."""
    path = data_dir.parent / "models" / "face_detection_yunet_2023mar.onnx"
    photo = np.zeros((640, 640, 3), np.uint8)
    photo[:512, :512] = skimage.data.astronaut()
    ours = session(convert_yunet(data))(picture=photo[np.newaxis])
    theirs = session(path.read_bytes())(input=photo[np.newaxis, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32))
    for found, expected in zip(ours[:6], theirs[:6], strict=True):
        assert np.abs(found - expected).max() < 0.02
    certain = theirs[2][0, :, 0] * theirs[5][0, :, 0] > 0.25
    assert certain.any()
    for found, expected in zip(ours[8::3], theirs[8::3], strict=True):  # boxes and points, in strides of 32 px
        assert np.abs(found - expected)[0, certain].max() < 0.02


def test_exported_numbers_have_their_names_and_sizes(weights: dict[str, NDArray[np.float32]]) -> None:
    assert weights["backbone__model0_pw_weight"].size == 16 * 32
    assert not weights["backbone__model0_pw_weight"].reshape(16, 32)[:, 27:].any()  # filled up with zeros
    assert sum(name.endswith(("_weight", "_bias")) for name in weights) == 106


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\x7fELF\x02\x01" + rest))
def test_arbitrary_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(PackDamaged, match=r"libfacedetection\.so.*expected"):
        convert_yunet(junk)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.floats(0, 0.98))
def test_a_truncated_file_is_refused(data: bytes, kept: float) -> None:
    """The last hundredth holds other symbols only."""
    with pytest.raises(PackDamaged, match=r"libfacedetection\.so.*expected"):
        convert_yunet(data[: int(kept * len(data))])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_bytes_give_a_network_or_a_clear_error(data: bytes, changes: list[tuple[float, int]]) -> None:
    """In the file's header, its tables of sections and of symbols, and the names."""
    (sections,) = struct.unpack_from("<Q", data, 40)
    places = [*range(64), *range(0x200, 0x5000), *range(sections, len(data))]
    altered = bytearray(data)
    for place, byte in changes:
        altered[places[int(place * len(places))]] = byte
    with suppress(PackDamaged):  # anything else that is raised, a warning too, fails the test
        assert onnx.load_model_from_string(convert_yunet(bytes(altered))).graph.node


def test_weights_that_are_no_numbers_are_refused(data: bytes, weights: dict[str, NDArray[np.float32]]) -> None:
    place = data.index(weights["backbone__model3_dp1_pw_weight"].tobytes())
    with pytest.raises(PackDamaged, match="values that are not finite"):
        convert_yunet(data[:place] + np.float32(np.nan).tobytes() + data[place + 4 :])


def test_missing_weights_are_named(data: bytes) -> None:
    with pytest.raises(PackDamaged, match="expected 4096 numbers backbone__model3_dp1_pw_weight, found none"):
        convert_yunet(data.replace(b"backbone__model3_dp1_pw_weight", b"backbone__model3_dp1_pw_wEight"))
