"""YuNet is read by its public definition: a face written into outputs as that says must come out again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from skimage import data

from likeness.vision.detection import find_faces
from likeness.vision.network import Pictures
from likeness.vision.pyramid import Pyramid
from likeness.vision.yunet import YuNet

BOX = np.array([200.0, 120.0, 264.0, 204.0])
POINTS = np.array([[216, 152], [248, 153], [231, 170], [219, 184], [245, 183]], float)
PIXELS = np.dstack([np.full((250, 330), value, np.uint8) for value in (10, 20, 30)])

Outputs = list[NDArray[np.float32]]
Form = Callable[[Pictures], Outputs]


class Answering:
    """A network that returns the output of `form`, or, with `blank`, zeros of the same shapes."""

    def __init__(self, form: Form, *, blank: bool = False) -> None:
        self._form, self._blank = form, blank
        self.takes_bytes = form is yunet_of_bytes

    def __call__(self, *inputs: Pictures) -> Outputs:
        outputs = self._form(inputs[0])
        return [np.zeros_like(output) for output in outputs] if self._blank else outputs


def yunet(fed: Pictures) -> Outputs:
    """OpenCV's face_detect.cpp: score is the root of the product, offsets and log sizes in strides, 640x640 padded."""
    assert fed.shape == (1, 3, 640, 640)
    np.testing.assert_array_equal(fed[0, :, 0, 0], [30, 20, 10])
    assert not fed[0, :, 250:].any()
    assert not fed[0, :, :, 330:].any()
    return _yunet(640, 640)


def yunet_of_bytes(fed: Pictures) -> Outputs:
    """As converted by Likeness: RGB bytes with sides of any multiple of 32."""
    assert fed.shape == (1, 256, 352, 3)
    assert fed.dtype == np.uint8
    np.testing.assert_array_equal(fed[0, 0, 0], [10, 20, 30])
    return _yunet(256, 352)


def _yunet(height: int, width: int) -> Outputs:
    outputs: Outputs = []
    for values in (1, 1, 4, 10):
        for stride in (8, 16, 32):
            outputs.append(np.zeros((1, (height // stride) * (width // stride), values), np.float32))
    column, row, stride = 7, 5, 32
    index = row * (width // stride) + column
    origin = np.array([column, row]) * stride
    outputs[2][0, index], outputs[5][0, index] = 0.9, 0.9
    outputs[8][0, index, :2] = ((BOX[:2] + BOX[2:]) / 2 - origin) / stride
    outputs[8][0, index, 2:] = np.log((BOX[2:] - BOX[:2]) / stride)
    outputs[11][0, index] = (POINTS - origin).ravel() / stride
    return outputs


FORMS = [(yunet, 640), (yunet_of_bytes, 0)]


@pytest.mark.parametrize(("form", "side_px"), FORMS)
def test_a_face_written_into_the_outputs_is_read(form: Form, side_px: int) -> None:
    found = YuNet(Answering(form), side_px=side_px).detect(PIXELS)
    assert found.scores.tolist() == pytest.approx([0.9])
    np.testing.assert_allclose(found.boxes, [BOX], atol=1e-3)
    np.testing.assert_allclose(found.points, [POINTS], atol=1e-3)


@pytest.mark.parametrize(("form", "side_px"), FORMS)
def test_no_face_is_no_face(form: Form, side_px: int) -> None:
    found = YuNet(Answering(form, blank=True), side_px=side_px).detect(PIXELS)
    assert found.boxes.shape == (0, 4)
    assert found.points.shape == (0, 5, 2)


@pytest.mark.data
def test_the_published_yunet_finds_the_astronaut(data_dir: Path) -> None:
    path = data_dir.parent / "models" / "face_detection_yunet_2023mar.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    detector = YuNet(Answering(lambda fed: session.run(None, {session.get_inputs()[0].name: fed})))
    found = find_faces(detector, (512, 512), Pyramid.of(np.ascontiguousarray(data.astronaut())).resized)
    assert len(found) == 1
    np.testing.assert_allclose(found.points[0, :2], [[202, 101], [246, 104]], atol=5)  # the pupils, marked by eye
