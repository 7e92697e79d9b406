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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.counted import counted
from likeness.errors import PackDamaged, PackInvalid
from likeness.runtime.devices import Device, device_session

# From its import on, ONNX Runtime 1.29 and newer writes a device id and an event database into the user's cache folder
# and uploads events; only this variable, set before the import, prevents both.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

#: Address space of the arena, of which only used pages take memory; ONNX Runtime extends it if it does not suffice.
#: `Comparer.reserve_memory` takes 75 MB (`python benchmarks/runtime.py`); then a server does not grow (`make soak`).
_ARENA_BYTES = 128 * 1024 * 1024
#: What a tensor with its weights in another file has in the ONNX file: the first key of TensorProto.external_data.
_EXTERNAL_DATA = b"\n\x08location\x12"
#: What ONNX Runtime raises for a file that it cannot run; these classes have no common base but Exception.
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
    UnicodeDecodeError,  # of a message that quotes a damaged name
)


class OnnxNetwork:
    """A network of a pack: takes its inputs in the order of the file and returns all outputs. Thread-safe."""

    def __init__(self, session: Any, file: Path, role: str = "") -> None:
        self._session = session
        self._file = file
        #: The network in errors: its file and its role.
        self.described_as = f"{file} (the {role})" if role else str(file)
        self._names = [value.name for value in session.get_inputs()]
        self._takes_bytes = self.input_type == "uint8"
        self._outputs = [value.name for value in session.get_outputs()]

    @property
    def input_shapes(self) -> list[list[int | str | None]]:
        """The shape of each input; a name or None stands for any size."""
        return [list(value.shape) for value in self._session.get_inputs()]

    @property
    def input_type(self) -> str:
        """The type of the numbers of the first input, such as "float" or "uint8", as ONNX Runtime calls it."""
        return str(self._session.get_inputs()[0].type).removeprefix("tensor(").removesuffix(")")

    @property
    def sides(self) -> tuple[int | str | None, ...]:
        """Height and width of the pictures of the first input; a name or None stands for any size."""
        shape = self.input_shapes[0]
        return tuple(shape[1:3] if self._takes_bytes else shape[2:4])

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
        """Whether its pictures are bytes (B, H, W, 3), see `likeness.vision.network`."""
        return self._takes_bytes

    def __call__(self, *inputs: NDArray[np.float32] | NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The outputs for `inputs`; PackInvalid if the network does not run on them."""
        if len(inputs) != len(self._names):
            raise PackInvalid(f"{self.described_as} takes {counted(len(self._names), 'input')}, not {len(inputs)}")
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(
                self._outputs, dict(zip(self._names, inputs, strict=True))
            )
        except _ONNX_ERRORS as error:
            given = ", ".join("×".join(map(str, each.shape)) for each in inputs)
            raise PackInvalid(f"{self.described_as} does not run on {given}: {_in_a_line(error)}") from error
        return outputs


@dataclass(frozen=True)
class Runtime:
    """The settings of sessions.

    `threads` are those that one call may use; `one_size` means that all pictures have the network's native size; with
    `silent`, ONNX Runtime writes nothing of errors to standard error, as those of trials are no news.
    Measured by `python benchmarks/runtime.py`:

    - Threads do not spin while they wait: on a shared machine spinning takes processors from other work, and otherwise
      it makes no difference.
    - The arena is on, its memory pattern off where sizes vary: a pattern is kept for every size, and detectors see
      many. After photos of eight shapes the detector's process has 182 MB without patterns and 213 MB with them. With
      one size, a pattern saves an allocation per layer: a run is 1 % faster.
    - All networks of a process share one arena, as they never need their maximum at once. After 200 comparisons of
      photos of many shapes on two threads 244 MB are in use; with separate arenas 316 MB.
    - The arena is one piece of address space (not measured): by default it grows by doubling pieces, none of which may
      have room for a large search although enough is free in total.
    - Networks optimised by ONNX Runtime are saved in the folder `optimised`, for this processor and this version of
      ONNX Runtime: detector, embedder, mesh and expression then open in 33 ms of processor time instead of 75. A
      checksum in the name of the saved file detects damage; None as folder saves nothing.
    """

    threads: int
    device: Device = "cpu"
    optimised: Path | None = None
    one_size: bool = False
    silent: bool = False

    def open(self, file: Path, sha256: str, role: str = "") -> OnnxNetwork:
        """The network in `file`, whose SHA-256 is checked already; errors name its `role`. PackDamaged if ONNX Runtime
        cannot read it, PackInvalid if a pack's network has weights in other files, SettingsError if the device is not
        available.
        """
        try:
            session = device_session(self.device, file, self._options()) or self._cpu_session(file, sha256)
        except _ONNX_ERRORS as error:
            raise PackDamaged(
                f"{file} is not a network that ONNX Runtime {onnxruntime.__version__} can run ({_in_a_line(error)}); "
                "replace it, or use a version that can"
            ) from error
        return OnnxNetwork(session, file, role)

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
        """Optimises the network and saves the result; several processes may do this at once."""
        if _EXTERNAL_DATA in file.read_bytes():
            raise PackInvalid(
                f"{file} has weights in other files, which its SHA-256 does not cover: "
                "`likeness packs new` writes them into the network's own file"
            )
        temporary = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
        options = self._cpu_options()
        options.optimized_model_filepath = str(temporary)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(b"")  # what ONNX Runtime raises where it cannot write is of no class of its own
            session = _session(file, options)
            os.replace(temporary, folder / f"{name}-{_checksum(temporary)}.onnx")
            return session
        except (OSError, *_ONNX_ERRORS):
            # The folder is not writable, or the network is invalid; only the latter is an error, which occurs again.
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
        options.log_severity_level = 4 if self.silent else 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


def _in_a_line(error: Exception) -> str:
    """What ONNX Runtime says, which may be several lines, and nothing for some errors."""
    return " ".join(str(error).split()) or type(error).__name__


_MAKING_ARENA = threading.Lock()


def _share_arena(options: Any) -> None:
    """Lets a session use the arena of the process."""
    with _MAKING_ARENA:
        _make_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")


@cache
def _make_arena() -> None:
    """Creates the shared arena once per process: a second one would replace that of existing sessions."""
    kind, where = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    one_piece = onnxruntime.OrtArenaCfg({"initial_chunk_size_bytes": _ARENA_BYTES})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, where), one_piece)


def _session(file: Path, options: Any) -> Any:
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _checksum(file: Path) -> str:
    return f"{zlib.crc32(file.read_bytes()):08x}"


@cache
def _processor_key() -> str:
    """A short digest of ONNX Runtime's version and the processor's instruction sets, on which saved networks depend."""
    return hashlib.sha256(f"{onnxruntime.__version__} {_processor_features()}".encode()).hexdigest()[:16]


@cache
def _processor_features() -> str:
    features = platform.machine()
    try:
        # The first processor suffices; reading all of the file takes long on large machines.
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return features + file.read(8192).partition("flags")[2].partition("\n")[0]
    except OSError:
        return features + platform.processor()
