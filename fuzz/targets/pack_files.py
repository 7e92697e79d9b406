"""The files of an untrusted pack, whose manifest has their hashes: networks (ONNX), arrays (.npy), archives."""

import hashlib
import io
import tarfile
import zipfile
from functools import cache

import numpy as np

from fuzz.formats import file_of, folder
from fuzz.target import Target
from likeness.errors import PackDamaged
from likeness.packs.archives import read_member
from likeness.packs.loaded import LoadedPack
from likeness.packs.manifest import Manifest, PackFile, Scoring
from likeness.runtime.sessions import Runtime

MEMBER = "net/a.onnx"


def run(data: bytes) -> None:
    """The first byte selects what the file is."""
    content = data[1:]
    match data[0] % 3 if data else 0:
        case 0:
            network = Runtime(threads=1).open(file_of(content, "a.onnx"), "")
            assert network.input_shapes is not None
        case 1:
            array = pack_with(content).array("cohort.npy")
            assert array.dtype == np.float32
        case _:
            read_member(file_of(content, "a.whl"), MEMBER, hashlib.sha256(b"content").hexdigest())


def pack_with(content: bytes) -> LoadedPack:
    """A pack with one array."""
    file_of(content, "cohort.npy")
    sha256 = hashlib.sha256(content).hexdigest()
    file = PackFile("cohort.npy", sha256, len(content), "", "", "", "", None)
    manifest = Manifest("own", "1", "", {}, {"cohort.npy": file}, {}, Scoring("cosine"), None, {}, (), "", folder())
    return LoadedPack(manifest, threads=1)


@cache
def network() -> bytes:
    """A network of a convolution."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3]), helper.make_node("Relu", ["y"], ["z"])],
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2, 6, 6])],
        [weights],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def seeds() -> list[bytes]:
    """A network, arrays and archives."""
    made = [b"\0" + network()]
    for array in (np.ones((4, 3), np.int8), np.zeros((2, 2), "<f8", order="F"), np.array(["a"])):
        file = io.BytesIO()
        np.save(file, array)
        made.append(b"\1" + file.getvalue())
    for kind in ("w:", "w:gz", "w:xz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=kind) as tar:
            member = tarfile.TarInfo(MEMBER)
            member.size = 7
            tar.addfile(member, io.BytesIO(b"content"))
        made.append(b"\2" + file.getvalue())
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", packing) as wheel:
            wheel.writestr(MEMBER, b"content")
        made.append(b"\2" + file.getvalue())
    return made


TARGET = Target(
    run,
    (PackDamaged,),
    seeds,
    tokens=(
        b"\x93NUMPY",
        b"'descr': '",
        b"'shape': (",
        b"9999999999999",
        b"|O",
        b"<M8[",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"Conv",
    ),
    max_bytes=16 * 1024,
)
