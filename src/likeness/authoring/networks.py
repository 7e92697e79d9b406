"""What a graph declares: inputs and outputs, sizes and types; and the families that match it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from likeness.errors import PackDamaged, PackInvalid
from likeness.families.detectors import family_of
from likeness.families.preprocessed import for_any_number
from likeness.runtime.sessions import OnnxNetwork, Runtime
from likeness.system.processors import thread_budget
from likeness.vision.network import Network, Pictures, fed

if TYPE_CHECKING:
    from onnx import ModelProto

Shape = tuple[int, ...]

#: A detector of any size is tried at this one.
TRIED_PX = 320
#: Embedders without a size of their own take this one, that of ArcFace and most others since.
USUAL_CHIP_PX = 112
#: Sizes from which on a network without a fixed size of its own is believed to have one.
_LEAST_DETECTOR_PX, _LEAST_CHIP_PX = 128, 16
#: Detectors search at multiples of this.
_MULTIPLE_PX = 32
#: The most bytes of one ONNX file, a limit of protobuf; less some room for the graph.
_MOST_BYTES = 2**31 - 2**20


@dataclass(frozen=True, slots=True)
class Graph:
    """A network in a file, and the shapes of what it gives for a blank picture.

    `side_px` is the fixed side of its square input, 0 for any; `size` (height, width) that of the blank picture.
    """

    file: Path
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

    @property
    def other_outputs(self) -> str:
        """A clause with the outputs but the first, one of which may be the vector; "" for none."""
        others = [
            f"{name} ({_named(shape)})" for name, shape in zip(self.network.output_names, self.outputs, strict=True)
        ][1:]
        return f"; if the vector is another of its outputs, {', '.join(others)}, export it as the first" * bool(others)

    def whole(self) -> bytes:
        """The network as one file, with the weights that exporters keep in other files (external data); PackInvalid if
        it is too large for one.
        """
        import onnx

        model = onnx.load(str(self.file))
        if model == onnx.load(str(self.file), load_external_data=False):
            return self.file.read_bytes()
        return _in_one_file(model, self.file)


def read_detector(file: Path, folder: Path) -> Graph:
    """The graph of a detector. One whose fixed input is too small for photos, or for several pictures, as exporters
    leave it, is opened for any size; `folder` takes the changed file. PackInvalid if it cannot be used.
    """
    network = _opened(file)
    sides = network.sides
    if any(isinstance(side, int) and side < _LEAST_DETECTOR_PX for side in sides) or _pictures(network) not in (
        1,
        None,
    ):
        file = _for_any_size(file, folder)
        network, sides = _opened(file), (None, None)
    if isinstance(sides[0], int) and sides[0] != sides[1]:
        raise PackInvalid(f"{file} takes pictures of {sides[1]}x{sides[0]}; export it for a square or for any size")
    side = sides[0] if isinstance(sides[0], int) else 0
    if side % _MULTIPLE_PX:
        raise PackInvalid(f"{file} takes pictures of {side}x{side}; export it for a multiple of {_MULTIPLE_PX}, or any")
    return _run(file, network, side, (side or TRIED_PX, side or TRIED_PX))


def read_embedder(file: Path, folder: Path | None = None) -> Graph:
    """The graph of an embedder; PackInvalid if it cannot be used.

    One that declares any number of pictures, but gives for two in one run other vectors than for each alone, is opened
    for one a run; `folder` takes the changed file. Without a folder this is not tried.
    """
    network = _opened(file)
    family = family_in(file)
    if family:
        raise PackInvalid(f"{file} is a detector of the family {family}; an embedder gives a vector for each picture")
    sides = network.sides
    fixed = [side for side in sides if isinstance(side, int)]
    if len(set(fixed)) > 1 or any(side < _LEAST_CHIP_PX for side in fixed):
        raise PackInvalid(f"{file} takes chips of {_named(sides[::-1])}; embedders take square chips")
    side = fixed[0] if fixed else 0
    graph = _run(file, network, side, (side or USUAL_CHIP_PX,) * 2, chips=True)
    if np.prod(graph.outputs[0][1:]) < 8:
        raise PackInvalid(
            f"{file} gives {_named(graph.outputs[0])} first; an embedder gives a vector for each picture"
            f"{graph.other_outputs}"
        )
    if folder is None or _pictures(network) is not None or _takes_two(graph):
        return graph
    file = _for_one_picture(file, folder)
    return _run(file, _opened(file), side, graph.size, chips=True)


def _takes_two(graph: Graph) -> bool:
    """Whether two pictures in one run give the vectors that each gives alone."""
    drawn = np.random.default_rng(0).integers(0, 256, (2, *graph.size, 3), dtype=np.uint8)
    drawn[1] //= 2  # what is mixed shows if the two differ in brightness, too
    pictures = fed(graph.network, drawn)
    alone = np.concatenate([graph.network(pictures[at : at + 1])[0] for at in (0, 1)])
    try:
        together = graph.network(pictures)[0]
    except PackInvalid:
        return False
    near = 1e-3 * float(np.abs(np.nan_to_num(alone)).max())
    return together.shape == alone.shape and np.allclose(together, alone, rtol=0.0, atol=near, equal_nan=True)


def detector_family(graph: Graph) -> str:
    """The family of detectors that has such outputs, "" for none."""
    return family_of(graph.outputs, *graph.size)


def family_in(file: Path) -> str:
    """The family of the detector in `file`, "" for another network, or one of pictures too small for photos."""
    try:
        network = _opened(file)
        side = next((side for side in network.sides if isinstance(side, int)), TRIED_PX)
        return "" if side < _LEAST_DETECTOR_PX else detector_family(_run(file, network, side, (side, side)))
    except PackInvalid:
        return ""


def _opened(file: Path) -> OnnxNetwork:
    if not file.is_file():
        raise PackInvalid(f"{file} is not a file; give the path of an ONNX file")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        network = Runtime(threads=thread_budget(), silent=True).open(file, sha256)
    except PackDamaged as error:
        raise PackInvalid(f"{file} is not a network that ONNX Runtime can run: {error.__cause__}") from error
    shapes = network.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise PackInvalid(f"{file} takes {', '.join(map(_named, shapes))}; it must take one input of pictures")
    if network.input_type not in ("float", "uint8"):
        raise PackInvalid(f"{file} takes {network.input_type}; export it with an input of float32")
    channels, last = shapes[0][3 if network.takes_bytes else 1], shapes[0][3]
    if (isinstance(channels, int) and channels != 3) or last == 3 != channels:
        form = "uint8 (pictures, height, width, 3)" if network.takes_bytes else "float32 (pictures, 3, height, width)"
        raise PackInvalid(f"{file} takes {_named(shapes[0])}; export it with an input of {form}")
    return network


def _pictures(network: OnnxNetwork) -> int | None:
    number = network.input_shapes[0][0]
    return number if isinstance(number, int) else None


def _run(file: Path, network: OnnxNetwork, side: int, size: tuple[int, int], *, chips: bool = False) -> Graph:
    blank: Pictures = np.zeros((1, *size, 3), np.uint8)
    if not network.takes_bytes:
        blank = np.zeros((1, 3, *size), np.float32)
    try:
        outputs = (for_any_number(network, network.input_shapes[0]) if chips else network)(blank)
    except PackInvalid as error:
        if side:
            raise
        form = "(N, S, S, 3)" if network.takes_bytes else "(N, 3, S, S)"
        raise PackInvalid(
            f"{file} takes {_named(network.input_shapes[0])}, and does not run on {_named(blank.shape)}: export it "
            f"with its fixed size, as {form}"
        ) from error
    return Graph(file, network, side, size, tuple(each.shape for each in outputs))


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
    return _saved(model, file, folder)


def _for_one_picture(file: Path, folder: Path) -> Path:
    """A copy of the graph in `folder` that takes one picture a run."""
    import onnx

    model = onnx.load(str(file))
    for value in (model.graph.input[0], model.graph.output[0]):
        for dimension in value.type.tensor_type.shape.dim[:1]:
            dimension.dim_value = 1
    return _saved(model, file, folder)


def _saved(model: "ModelProto", file: Path, folder: Path) -> Path:
    """The changed `model` of `file` in `folder`, without the sizes in between, which are others now."""
    del model.graph.value_info[:]
    folder.mkdir(parents=True, exist_ok=True)
    changed = folder / file.name
    changed.write_bytes(_in_one_file(model, file))
    return changed


def _in_one_file(model: "ModelProto", file: Path) -> bytes:
    """The loaded `model` of `file` with its weights; PackInvalid if it is too large for one file."""
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > _MOST_BYTES:
        raise PackInvalid(
            f"{file} has more than 2 GB of weights in other files, and the network of a pack is one file, of at most "
            "2 GB: export it with smaller weights"
        )
    return bytes(model.SerializeToString())


def _named(shape: Sequence[int | str | None]) -> str:
    return "×".join("?" if side is None else str(side) for side in shape)
