"""Networks on ONNX Runtime: sessions with explicit threads and devices, optimised once and kept.

Measured choices: see `Runtime`.
"""

import hashlib
import os
import platform
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from likeness.errors import PackDamaged, SettingsError

Device = Literal["cpu", "cuda"]
_DIGEST_BYTES = 32
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
    start.
    """

    threads: int
    device: Device = "cpu"
    optimised: Path | None = None

    def open(self, file: Path, sha256: str) -> OnnxNetwork:
        """The network in `file`, whose verified SHA-256 is given. PackDamaged when ONNX Runtime cannot read it,
        SettingsError for a device that is not there."""
        try:
            return OnnxNetwork(self._session(file, sha256), file)
        except _ONNX_ERRORS as error:
            reason = str(error).splitlines()[0]
            raise PackDamaged(
                f"{file} is not a network that ONNX Runtime {onnxruntime.__version__} can run: {reason}"
            ) from error

    def _session(self, file: Path, sha256: str) -> Any:
        if self.device == "cuda":
            return onnxruntime.InferenceSession(str(file), self._options(), providers=_cuda_providers())
        if self.optimised is None:
            return onnxruntime.InferenceSession(str(file), self._options(), providers=["CPUExecutionProvider"])
        kept = self.optimised / f"{sha256[:24]}-{_processor_key()}.bin"
        model = _read_kept(kept)
        if model is None:
            model = self._optimise(file, kept)
        options = self._options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _optimise(self, file: Path, kept: Path) -> bytes:
        """Lets ONNX Runtime optimise the network once and keeps the result; another process may do the same at the same
        time.
        """
        with tempfile.TemporaryDirectory(prefix="likeness-") as folder:
            options = self._options()
            options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
            options.add_session_config_entry("session.save_model_format", "ONNX")
            onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            model = (Path(folder) / "optimised.onnx").read_bytes()
        _keep(kept, model)
        return model

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


def _cuda_providers() -> Sequence[Any]:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise SettingsError(
            "the device cuda was asked for, but this ONNX Runtime has no CUDA; "
            "install the extra `likeness[cuda]`, or use the device cpu"
        )
    return [("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})]


def _read_kept(path: Path) -> bytes | None:
    """The network kept in `path`, None when there is none or it is not what was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, model = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return model if hashlib.sha256(model).digest() == digest else None


def _keep(path: Path, model: bytes) -> None:
    """Writes the network and its digest, whole or not at all. A cache folder that cannot be written costs only time."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(hashlib.sha256(model).digest() + model)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _processor_key() -> str:
    """Short digest of everything that a prepared network depends on: ONNX Runtime's version and the processor's
    abilities.
    """
    features = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("flags", "Features", "model name")):
                features += line
                if line.startswith(("flags", "Features")):
                    break
    except OSError:
        features += platform.processor()
    return hashlib.sha256(f"{onnxruntime.__version__} {features}".encode()).hexdigest()[:16]
