"""Networks on ONNX Runtime: sessions with explicit threads and devices, optimised once and kept.

Measured choices: see `Runtime`.
"""

import hashlib
import os
import platform
import struct
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from likeness.errors import PackDamaged, SettingsError

Device = Literal["cpu", "cuda"]
_MAGIC = b"LIKE0001"
#: Before a kept network: the magic, its length, its CRC-32.
_HEADER = struct.Struct("<8sQI")
#: What ONNX Runtime raises for a file that it cannot run; these classes share no base but Exception.
_ONNX_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxNetwork:
    """A network of a pack: takes its inputs in the order of the file, gives all outputs; safe to call from several
    threads.
    """

    def __init__(self, session: Any, file: Path) -> None:
        self._session = session
        self._file = file
        self._names = [value.name for value in session.get_inputs()]
        self._outputs = [value.name for value in session.get_outputs()]

    @property
    def input_shapes(self) -> list[list[int | str | None]]:
        """The shape of each input; a name or None stands for any size."""
        return [list(value.shape) for value in self._session.get_inputs()]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return list(self._outputs)

    def __call__(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The outputs for `inputs`; ValueError when their number is wrong."""
        if len(inputs) != len(self._names):
            raise ValueError(f"{self._file.name} takes {len(self._names)} inputs, not {len(inputs)}")
        outputs: list[NDArray[np.float32]] = self._session.run(
            self._outputs, dict(zip(self._names, inputs, strict=True))
        )
        return outputs


@dataclass(frozen=True)
class Runtime:
    """How sessions are made.

    `threads` are those that one call may use. `optimised` is the folder for prepared networks, None to prepare at each
    start. Chosen by measuring (benchmarks/runtime.py prints it again):

    - Threads do not spin while they wait: with two threads on busy cores spinning cost 50 ms of processor time a
      detection of 640×480 instead of 33, and gained nothing.
    - The arena stays on, its memory pattern off: a pattern is kept for every input size, and detectors see many.
    - A network that ONNX Runtime has already optimised opens in half the time.
    """

    threads: int
    device: Device = "cpu"
    optimised: Path | None = None

    def open(self, file: Path, sha256: str) -> OnnxNetwork:
        """The network in `file`, whose SHA-256 has been checked. PackDamaged when ONNX Runtime cannot read it,
        SettingsError for a device that is not there.
        """
        try:
            session = self._cuda_session(file) if self.device == "cuda" else self._cpu_session(file, sha256)
        except _ONNX_ERRORS as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise PackDamaged(
                f"{file} is not a network that ONNX Runtime {onnxruntime.__version__} can run ({reason}); "
                "get the pack again, or one made for this version"
            ) from error
        return OnnxNetwork(session, file)

    def _cuda_session(self, file: Path) -> Any:
        missing = SettingsError(
            "the device cuda was asked for, but this ONNX Runtime cannot use it here; install the extra "
            "`likeness[cuda]` and NVIDIA's driver, or use the device cpu"
        )
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise missing
        providers = [("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"}), "CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(file), self._options(), providers=providers)
        # Without the driver ONNX Runtime only writes a warning and goes on with the processor.
        if "CUDAExecutionProvider" not in session.get_providers():
            raise missing
        return session

    def _cpu_session(self, file: Path, sha256: str) -> Any:
        if self.optimised is None:
            return self._session(str(file), self._options())
        kept = self.optimised / f"{sha256[:24]}-{_processor_key()}"
        model = _read_kept(kept)
        if model is not None:
            options = self._options()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                return self._session(model, options)
            except _ONNX_ERRORS:
                kept.unlink(missing_ok=True)
        return self._optimise(file, kept)

    def _optimise(self, file: Path, kept: Path) -> Any:
        """The network optimised now, and kept for the next time; several processes may do this at once."""
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}.{threading.get_ident()}")
        options = self._options()
        options.optimized_model_filepath = str(temporary)
        options.add_session_config_entry("session.save_model_format", "ONNX")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            session = self._session(str(file), options)
            _keep(kept, temporary)
            return session
        except (OSError, *_ONNX_ERRORS):
            # The folder cannot be written, or the network is bad; only the second is an error, and it comes again.
            return self._session(str(file), self._options())
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _session(self, model: str | bytes, options: Any) -> Any:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


def _read_kept(path: Path) -> bytes | None:
    """The network kept in `path`, None when there is none or it is not what was written.

    The checksum guards against accidents; whoever can write here can write everywhere in the cache.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            model = file.read()
    except OSError:
        return None
    intact = len(header) == _HEADER.size and _HEADER.unpack(header) == (_MAGIC, len(model), zlib.crc32(model))
    return model if intact else None


def _keep(path: Path, written: Path) -> None:
    """Moves the network in `written` to `path`, with its checksum; OSError when the disk does not take it."""
    model = written.read_bytes()
    with written.open("wb") as file:
        file.write(_HEADER.pack(_MAGIC, len(model), zlib.crc32(model)))
        file.write(model)
    os.replace(written, path)


@cache
def _processor_key() -> str:
    """Short digest of what a prepared network depends on: ONNX Runtime's version and the processor's abilities."""
    features = platform.machine()
    try:
        # The first processor stands for all; the whole file takes long on large machines.
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            features += file.read(8192).partition("\n\n")[0].partition("flags")[2].partition("\n")[0]
    except OSError:
        features += platform.processor()
    return hashlib.sha256(f"{onnxruntime.__version__} {features}".encode()).hexdigest()[:16]
