"""CenterFace: the converted network against the file it comes from, in sizes of its own, and damaged files."""

import hashlib
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
from likeness.packs.convert.centerface import convert_centerface

Run = Callable[..., list[NDArray[np.float32]]]
SHA256 = "549d2090c467b5c2738d80273799c696e7a853d00f919b71a877926e7507047b"


@pytest.fixture(scope="module")
def data(original: Callable[[str], Path]) -> bytes:
    return original("centerface.onnx").read_bytes()


@pytest.fixture(scope="module")
def run(data: bytes, session: Callable[[bytes], Run]) -> Run:
    return session(convert_centerface(data))


def test_equals_the_original_at_the_one_size_that_it_takes(
    data: bytes, run: Run, session: Callable[[bytes], Run]
) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    expected = session(data)(**{"input.1": pictures.transpose(0, 3, 1, 2).astype(np.float32)})
    for found, wanted in zip(run(image=pictures), expected, strict=True):
        assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(32, 32), (480, 640), (96, 224)])
def test_any_size_gives_a_cell_for_every_4_pixels(run: Run, height: int, width: int) -> None:
    outputs = run(image=np.zeros((2, height, width, 3), np.uint8))
    assert [output.shape for output in outputs] == [(2, c, height // 4, width // 4) for c in (1, 2, 2, 10)]


def test_finds_the_astronauts_face(run: Run) -> None:
    photo = skimage.data.astronaut()[np.newaxis]
    heatmap, scale, _, landmarks = (output[0] for output in run(image=photo))
    row, column = np.unravel_index(int(heatmap[0].argmax()), heatmap[0].shape)
    assert heatmap.max() > 0.5
    assert (80 < 4 * row < 160, 200 < 4 * column < 250) == (True, True)  # where her nose is
    height, width = 4 * np.exp(scale[:, row, column])
    assert 70 < width < height < 160
    assert landmarks[1, row, column] < landmarks[3, row, column]  # the left eye is left of the right one


def test_weights_are_constants_and_normalisations_are_folded(data: bytes) -> None:
    converted = convert_centerface(data)
    graph = onnx.load_model_from_string(converted).graph
    assert [value.name for value in graph.input] == ["image"]
    assert [value.name for value in graph.output] == ["heatmap", "scale", "offset", "landmarks"]
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert hashlib.sha256(converted).hexdigest() == SHA256


def test_weights_in_another_file_are_not_followed(data: bytes) -> None:
    model = onnx.load_model_from_string(data)
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(PackDamaged, match="float32 weights"):
        convert_centerface(model.SerializeToString())


def test_another_network_is_refused(data: bytes) -> None:
    with pytest.raises(PackDamaged, match="expected the nodes"):
        convert_centerface(convert_centerface(data))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(PackDamaged, match=r"centerface\.onnx.*expected"):
        convert_centerface(junk)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(-12_000, 12_000) | st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(data: bytes, kept: float) -> None:
    """`kept` is a number of bytes, from the end when negative, or a part of the file."""
    length = kept if isinstance(kept, int) else int(kept * len(data))
    with pytest.raises(PackDamaged, match=r"centerface\.onnx.*expected"):
        convert_centerface(data[:length])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(-20_000, 12_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_bytes_give_a_network_or_a_clear_error(data: bytes, changes: list[tuple[int, int]]) -> None:
    """In the nodes at the beginning and the inputs at the end."""
    altered = bytearray(data)
    for place, byte in changes:
        altered[place] = byte
    with suppress(PackDamaged):  # anything else that is raised, a warning too, fails the test
        assert onnx.load_model_from_string(convert_centerface(bytes(altered))).graph.node
