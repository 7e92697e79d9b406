"""What a graph declares: inputs and outputs, sizes and types; and the families that match it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.errors import PackDamaged, PackInvalid
from likeness.families.preprocessed import for_any_number
from likeness.packs.runtime import OnnxNetwork, Runtime
from likeness.system.processors import thread_budget
from likeness.vision.network import Network, Pictures

Shape = tuple[int, ...]

#: A detector of any size is tried at this one.
TRIED_PX = 320
#: Embedders without a size of their own take this one, that of ArcFace and most others since.
USUAL_CHIP_PX = 112
#: Sizes from which on a network without a fixed size of its own is believed to have one.
_LEAST_DETECTOR_PX, _LEAST_CHIP_PX = 128, 16


@dataclass(frozen=True, slots=True)
class Graph:
    """A network in a file: its bytes, the shape of its input, and of what it gives for a blank picture.

    `side_px` is the fixed side of its square input, 0 for any; `size` (height, width) that of the blank picture.
    """

    content: bytes
    network: OnnxNetwork
    side_px: int
    size: tuple[int, int]
    outputs: tuple[Shape, ...]

    @property
    def pictures(self) -> Network:
        """The network for any number of pictures."""
        return for_any_number(self.network, self.network.input_shapes[0])

    @property
    def described(self) -> str:
        """Input, outputs and types, for people."""
        shape, kind = _named(self.network.input_shapes[0]), "uint8" if self.network.takes_bytes else "float32"
        outputs = ", ".join(_named(each) for each in self.network.output_shapes)
        return f"takes {shape} {kind}, gives {outputs}"


def read_detector(file: Path, folder: Path) -> Graph:
    """The graph of a detector. One whose fixed input is too small for photos, or for several pictures, as exporters
    leave it, is opened for any size; `folder` takes the changed file. PackInvalid if it cannot be used.
    """
    network = _opened(file)
    sides = _sides(network)
    if any(isinstance(side, int) and side < _LEAST_DETECTOR_PX for side in sides) or _pictures(network) not in (
        1,
        None,
    ):
        file = _for_any_size(file, folder)
        network, sides = _opened(file), (None, None)
    if isinstance(sides[0], int) and sides[0] != sides[1]:
        raise PackInvalid(f"{file} takes pictures of {sides[1]}x{sides[0]}; export it for a square or for any size")
    side = sides[0] if isinstance(sides[0], int) else 0
    return _run(file, network, side, (side or TRIED_PX, side or TRIED_PX))


def read_embedder(file: Path) -> Graph:
    """The graph of an embedder; PackInvalid if it cannot be used."""
    network = _opened(file)
    sides = _sides(network)
    fixed = [side for side in sides if isinstance(side, int)]
    if len(set(fixed)) > 1 or any(side < _LEAST_CHIP_PX for side in fixed):
        raise PackInvalid(f"{file} takes chips of {_named(sides[::-1])}; embedders take square chips")
    side = fixed[0] if fixed else 0
    graph = _run(file, network, side, (side or USUAL_CHIP_PX,) * 2, chips=True)
    if np.prod(graph.outputs[0][1:]) < 8:
        raise PackInvalid(f"{file} gives {_named(graph.outputs[0])} first; an embedder gives a vector for each picture")
    return graph


def detector_family(graph: Graph) -> str:
    """The family of detectors that has such outputs, "" for none."""
    last = tuple(shape[-1] for shape in graph.outputs)
    if last == (1,) * 6 + (4,) * 3 + (10,) * 3:
        return "yunet"
    if last == (1,) * 3 + (4,) * 3 + (10,) * 3:
        return "scrfd"
    quarter = tuple(side // 4 for side in graph.size)
    channels = tuple(shape[1] for shape in graph.outputs if len(shape) == 4 and shape[2:] == quarter)
    return "centerface" if channels == (1, 2, 2, 10) else ""


def _opened(file: Path) -> OnnxNetwork:
    if not file.is_file():
        raise PackInvalid(f"{file} is not a file; give the path of an ONNX file")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        network = Runtime(threads=thread_budget()).open(file, sha256)
    except PackDamaged as error:
        raise PackInvalid(f"{file} is not a network that ONNX Runtime can run: {error.__cause__}") from error
    shapes = network.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise PackInvalid(f"{file} takes {', '.join(map(_named, shapes))}; it must take one input of pictures")
    channels = shapes[0][3 if network.takes_bytes else 1]
    if channels not in (3, None) and not isinstance(channels, str):
        form = "uint8 (pictures, height, width, 3)" if network.takes_bytes else "float32 (pictures, 3, height, width)"
        raise PackInvalid(f"{file} takes {_named(shapes[0])}; export it with an input of {form}")
    return network


def _sides(network: OnnxNetwork) -> tuple[int | str | None, int | str | None]:
    shape = network.input_shapes[0]
    return (shape[1], shape[2]) if network.takes_bytes else (shape[2], shape[3])


def _pictures(network: OnnxNetwork) -> int | None:
    number = network.input_shapes[0][0]
    return number if isinstance(number, int) else None


def _run(file: Path, network: OnnxNetwork, side: int, size: tuple[int, int], *, chips: bool = False) -> Graph:
    blank: Pictures = np.zeros((1, *size, 3), np.uint8)
    if not network.takes_bytes:
        blank = np.zeros((1, 3, *size), np.float32)
    try:
        outputs = (for_any_number(network, network.input_shapes[0]) if chips else network)(blank)
    except Exception as error:  # ONNX Runtime's errors have no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PackInvalid(f"{file} does not run on a picture of {size[1]}x{size[0]}: {reason}") from error
    return Graph(file.read_bytes(), network, side, size, tuple(each.shape for each in outputs))


def _for_any_size(file: Path, folder: Path) -> Path:
    """A copy of the graph in `folder` whose input has any height and width."""
    import onnx

    model = onnx.load(str(file))
    for value in (*model.graph.input[:1], *model.graph.output):
        for place, dimension in enumerate(value.type.tensor_type.shape.dim):
            if place != 1:
                dimension.ClearField("dim_value")
                dimension.dim_param = f"{value.name}_{place}"
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    folder.mkdir(parents=True, exist_ok=True)
    changed = folder / file.name
    onnx.save(model, str(changed))
    return changed


def _named(shape: Sequence[int | str | None]) -> str:
    return "×".join("?" if side is None else str(side) for side in shape)
