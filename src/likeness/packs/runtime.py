"""Networks on ONNX Runtime: sessions with explicit threads and devices."""

import hashlib
import os
import platform
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged, SettingsError

# ONNX Runtime 1.29 and newer writes a device id and an event database into the user's cache folder and uploads events,
# both from its import on; this variable, set before the import, is the only thing that stops both.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

Device = Literal["cpu", "cuda"]
#: Address space of the arena; only what has been used of it takes memory. Two threads have used 64 MB after 2,000 mixed
#: requests. Where it does not suffice, ONNX Runtime gets more.
_ARENA_BYTES = 128 * 1024 * 1024
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
        self._takes_bytes = bool(session.get_inputs()[0].type == "tensor(uint8)")
        self._outputs = [value.name for value in session.get_outputs()]

    @property
    def input_shapes(self) -> list[list[int | str | None]]:
        """The shape of each input; a name or None stands for any size."""
        return [list(value.shape) for value in self._session.get_inputs()]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return list(self._outputs)

    @property
    def output_shapes(self) -> list[list[int | str | None]]:
        """The shape of each output; a name or None stands for any size."""
        return [list(value.shape) for value in self._session.get_outputs()]

    @property
    def takes_bytes(self) -> bool:
        """Whether pictures are given as bytes (B, H, W, 3), see `likeness.vision.network`."""
        return self._takes_bytes

    def __call__(self, *inputs: NDArray[np.float32] | NDArray[np.uint8]) -> list[NDArray[np.float32]]:
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

    `threads` are those that one call may use; `one_size` says that all pictures have the size that the network was made
    for. Chosen by measuring (`python benchmarks/runtime.py`):

    - Threads do not spin while they wait: on a shared machine that takes processors from other work, and alone on one
      it makes no difference.
    - The arena stays on, its memory pattern off where sizes vary: a pattern is kept for every size, and detectors see
      many. After photos of eight shapes the detector's process has 182 MB without patterns and 213 MB with them. Where
      there is one size, a run takes one piece instead of one a layer: 1 % faster for itself. A pair of 1280x886 took
      0.91 of the processor time while others kept the machine busy, else 0.98 (by hand, processes by turns).
    - All networks of a process share one arena: they never all need the most at once, and each would keep what it once
      needed. After 200 comparisons of photos of many shapes on two threads 244 MB are in use, with an arena each 316.
    - The arena is one piece of address space. In pieces that double, as by default, what a large search needs may fit
      none of them though enough is free, and the next piece is begun: 2,000 mixed requests (the soak of `make bench`)
      end with 230 MB in pieces, with 222 MB in one. Without an arena, before large searches took turns, it was 320 MB.
    - What ONNX Runtime's optimiser makes of a network is saved in the folder `optimised`, for this processor and this
      version of ONNX Runtime: detector, embedder, mesh and expression then open in 33 ms of processor time, not in 75.
      A checksum in the name of the saved file guards against accidents; None as folder saves nothing.
    """

    threads: int
    device: Device = "cpu"
    optimised: Path | None = None
    one_size: bool = False

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
        # Without the driver ONNX Runtime only prints a warning and uses the processor.
        if "CUDAExecutionProvider" not in session.get_providers():
            raise missing
        return session

    def _cpu_session(self, file: Path, sha256: str) -> Any:
        if self.optimised is None:
            return _session(file, self._cpu_options())
        name = f"{sha256[:24]}-{_processor_key()}"
        for saved in self.optimised.glob(f"{name}-*.onnx"):
            options = self._cpu_options()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            with suppress(OSError, *_ONNX_ERRORS):
                if saved.stem.endswith(_checksum(saved)):
                    return _session(saved, options)
            with suppress(OSError):
                saved.unlink(missing_ok=True)
        return self._optimise(file, self.optimised, name)

    def _optimise(self, file: Path, folder: Path, name: str) -> Any:
        """The network optimised now, and saved for the next time; several processes may do this at once."""
        temporary = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
        options = self._cpu_options()
        options.optimized_model_filepath = str(temporary)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            session = _session(file, options)
            os.replace(temporary, folder / f"{name}-{_checksum(temporary)}.onnx")
            return session
        except (OSError, *_ONNX_ERRORS):
            # The folder takes nothing, or the network is bad; only the second is an error, and it comes again here.
            return _session(file, self._cpu_options())
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _cpu_options(self) -> Any:
        options = self._options()
        _share_arena(options)
        return options

    def _options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_mem_pattern = self.one_size
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


_MAKING_ARENA = threading.Lock()


def _share_arena(options: Any) -> None:
    """Has a session take its memory from the arena of the process."""
    with _MAKING_ARENA:
        _make_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")


@cache
def _make_arena() -> None:
    """Creates the shared arena once per process: another one would replace that of existing sessions."""
    kind, where = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    one_piece = onnxruntime.OrtArenaCfg({"initial_chunk_size_bytes": _ARENA_BYTES})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, where), one_piece)


def _session(file: Path, options: Any) -> Any:
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _checksum(file: Path) -> str:
    return f"{zlib.crc32(file.read_bytes()):08x}"


@cache
def _processor_key() -> str:
    """Short digest of what a saved network depends on: ONNX Runtime's version and the processor's instruction sets."""
    return hashlib.sha256(f"{onnxruntime.__version__} {_processor_features()}".encode()).hexdigest()[:16]


@cache
def _processor_features() -> str:
    features = platform.machine()
    try:
        # The first processor represents all; the whole file takes long on large machines.
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return features + file.read(8192).partition("flags")[2].partition("\n")[0]
    except OSError:
        return features + platform.processor()
