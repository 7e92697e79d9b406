"""The face mesh and the expression network: the converted networks against Google's runtime, and damaged files."""

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
from likeness.packs.convert import tflite
from likeness.packs.convert.tflite import convert_expression, convert_face_mesh

Run = Callable[..., list[NDArray[np.float32]]]
Convert = Callable[[bytes], bytes]
CONVERTERS: dict[str, Convert] = {"face-mesh.onnx": convert_face_mesh, "expression.onnx": convert_expression}
SHA256 = {
    "face-mesh.onnx": "4474ce36042086559a1f077ab70e2a409fe9fe8bab28a97fe53570a263b3d096",
    "expression.onnx": "81de53037c479fb7e32c2e47d04a5e0311e650dcd521541bdaba8ebd520a5d48",
}


@pytest.fixture(scope="module")
def data(original: Callable[[str], Path]) -> dict[str, bytes]:
    return {
        "face-mesh.onnx": original("face-mesh.onnx").read_bytes()[tflite._PACKED_MESH],
        "expression.onnx": original("expression.onnx").read_bytes(),
    }


@pytest.fixture(scope="module")
def run(data: dict[str, bytes], session: Callable[[bytes], Run]) -> dict[str, Run]:
    return {name: session(convert(data[name])) for name, convert in CONVERTERS.items()}


def google(content: bytes, pictures: NDArray[np.float32], kernels: str = "AUTO") -> list[NDArray[np.float32]]:
    """What Google's runtime answers to each picture (N×H×W×C), every output as N×values; AUTO is its default."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="the reference needs ai-edge-litert")
    running = interpreter.Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=interpreter.OpResolverType[kernels]
    )
    running.allocate_tensors()
    place, outputs = running.get_input_details()[0]["index"], running.get_output_details()
    found: list[list[NDArray[np.float32]]] = [[] for _ in outputs]
    for picture in pictures:
        running.set_tensor(place, picture[np.newaxis])
        running.invoke()
        for values, output in zip(found, outputs, strict=True):
            values.append(running.get_tensor(output["index"]).reshape(-1))
    return [np.array(values) for values in found]


def with_float_weights(content: bytes) -> bytes:
    """The same TFLite network with its 8-bit weights written as float32, by Google's own schema classes."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="the reference needs ai-edge-litert")
    flatbuffers = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8:
            around = [1] * len(tensor.shape)
            around[tensor.quantization.quantizedDimension] = -1
            stored = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.int8).reshape(tensor.shape)
            scale, zero = np.array(tensor.quantization.scale, "<f4"), np.array(tensor.quantization.zeroPoint, "<f4")
            values = (stored - zero.reshape(around)) * scale.reshape(around)
            model.buffers[tensor.buffer].data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def chw(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def faces(side: int) -> NDArray[np.float32]:
    """Crops around the astronaut's face, 0–1, N×side×side×3."""
    photo, crops = skimage.data.astronaut(), []
    for size, top, left in [(170, 20, 140), (150, 35, 150), (190, 10, 130), (170, 30, 150)]:
        crop = photo[top : top + size, left : left + size]
        crops.append(skimage.transform.resize(crop, (side, side), anti_aliasing=True))
    return np.array(crops, dtype=np.float32)


def in_bytes(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(pictures * 255).astype(np.uint8)


def grey(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    return (pictures @ np.array([[0.299], [0.587], [0.114]], np.float32)) * 2 - 1


@pytest.mark.parametrize("kernels", ["AUTO", "BUILTIN_REF"])
def test_the_mesh_equals_googles_runtime(data: dict[str, bytes], run: dict[str, Run], kernels: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (20, 192, 192, 3), dtype=np.uint8)
    pictures = np.concatenate([noise, in_bytes(faces(192))])
    if kernels == "BUILTIN_REF":
        pictures = pictures[-6:]  # the plain kernels take a second a picture
    landmarks, presence = run["face-mesh.onnx"](face=pictures)
    numbers = pictures.astype(np.float32) / 255
    expected_landmarks, expected_presence = google(data["face-mesh.onnx"], numbers, kernels)
    assert np.abs(landmarks - expected_landmarks).max() < 1e-3
    assert np.abs(presence - expected_presence).max() < 1e-3


def test_presence_tells_a_face_from_noise_and_landmarks_lie_in_the_crop(run: dict[str, Run]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (4, 192, 192, 3), dtype=np.uint8)
    landmarks, presence = run["face-mesh.onnx"](face=np.concatenate([in_bytes(faces(192)), noise]))
    assert presence[:4].min() > 0 > presence[4:].max()
    points = landmarks[:4].reshape(4, 468, 3)[..., :2]
    assert points.min() > 0
    assert points.max() < 192


def test_the_expression_network_equals_googles_runtime_on_the_same_weights(
    data: dict[str, bytes], run: dict[str, Run]
) -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, (100, 64, 64, 1)).astype(np.float32)
    pictures = np.concatenate([noise, grey(faces(64))])
    probabilities = run["expression.onnx"](face=chw(pictures))[0]
    expected = google(with_float_weights(data["expression.onnx"]), pictures)[0]
    assert np.abs(probabilities - expected).max() < 1e-4
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert probabilities.argmax(axis=1).min() < probabilities.argmax(axis=1).max()  # not one answer for all


def test_the_runtimes_8_bit_rounding_is_noise_that_its_own_kernels_do_not_agree_on(
    data: dict[str, bytes], run: dict[str, Run]
) -> None:
    """Why the rounding is left out: this network is nearer to either set of kernels than they are to each other."""
    pictures = np.random.default_rng(5).uniform(-1, 1, (200, 64, 64, 1)).astype(np.float32)
    ours = run["expression.onnx"](face=chw(pictures))[0]
    one, other = (google(data["expression.onnx"], pictures, kernels)[0] for kernels in ("AUTO", "BUILTIN_REF"))
    moved = google(data["expression.onnx"], pictures + np.float32(1e-6))[0]
    moved_ours = run["expression.onnx"](face=chw(pictures + np.float32(1e-6)))[0]
    apart = np.abs(one - other).max()
    assert np.abs(ours - one).max() < apart
    assert np.abs(ours - other).max() < apart
    assert np.abs(moved - one).max() > 1e-3 > 1e-5 > np.abs(moved_ours - ours).max()


def test_100_faces_in_one_call_answer_as_each_alone(run: dict[str, Run]) -> None:
    pictures = np.random.default_rng(4).uniform(-1, 1, (100, 1, 64, 64)).astype(np.float32)
    together = run["expression.onnx"](face=pictures)[0]
    assert np.abs(together[[0, 57, 99]] - run["expression.onnx"](face=pictures[[0, 57, 99]])[0]).max() < 1e-5
    crops = np.repeat(in_bytes(faces(192)), 25, axis=0)
    landmarks, presence = run["face-mesh.onnx"](face=crops)
    assert (landmarks.shape, presence.shape) == ((100, 1404), (100, 1))
    assert np.abs(landmarks[::25] - run["face-mesh.onnx"](face=crops[::25])[0]).max() < 1e-3


@pytest.mark.parametrize("name", CONVERTERS)
def test_the_same_bytes_come_out_everywhere_of_no_more_operators(data: dict[str, bytes], name: str) -> None:
    converted = CONVERTERS[name](data[name])
    assert hashlib.sha256(converted).hexdigest() == SHA256[name]
    operators = [node.op_type for node in onnx.load_model_from_string(converted).graph.node]
    if name == "face-mesh.onnx":
        assert operators[:2] == ["Transpose", "Cast"]  # of the bytes that it takes
        operators = operators[2:]
        assert operators.count("Concat") == operators.count("Mul") == 3  # channels of zeros
        operators = [operator for operator in operators if operator not in ("Concat", "Mul")]
    assert set(operators) <= {"Conv", "Relu", "Add", "MaxPool", "Flatten", "GlobalAveragePool", "Softmax"}


def test_one_network_is_not_taken_for_the_other(data: dict[str, bytes]) -> None:
    with pytest.raises(PackDamaged, match="expected one input"):
        convert_face_mesh(data["expression.onnx"])


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda junk: b"\x08\0\0\0TFL3" + junk))
def test_arbitrary_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(PackDamaged, match="expression network"):
        convert_expression(junk)


@pytest.mark.parametrize("name", CONVERTERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 3000) | st.integers(-3000, -1) | st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(data: dict[str, bytes], name: str, kept: float) -> None:
    """`kept` is a number of bytes, from the end when negative, or a part of the file."""
    network = data[name]
    length = kept if isinstance(kept, int) else int(kept * len(network))
    with pytest.raises(PackDamaged, match=r"expected|found"):
        CONVERTERS[name](network[:length])


@pytest.mark.parametrize("name", CONVERTERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(-20_000, 20_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_bytes_give_a_network_or_a_clear_error(
    data: dict[str, bytes], name: str, changes: list[tuple[int, int]]
) -> None:
    """In the tables at both ends. A changed weight cannot be seen here; the pack's SHA-256 sees it."""
    altered = bytearray(data[name])
    for place, byte in changes:
        altered[place] = byte
    with suppress(PackDamaged):  # anything else that is raised, a warning too, fails the test
        assert onnx.load_model_from_string(CONVERTERS[name](bytes(altered))).graph.node
