"""The devices that networks may run on, and ONNX Runtime's sessions there; a device that is missing is an error."""

import logging
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from likeness.errors import SettingsError

_log = logging.getLogger(__name__)

#: "auto" is CUDA where this ONNX Runtime can use it, else the processor.
Device = Literal["cpu", "cuda", "auto", "openvino", "directml", "coreml"]
DEVICES: tuple[Device, ...] = get_args(Device)


@dataclass(frozen=True, slots=True)
class Provider:
    """ONNX Runtime's execution provider for a device, how to install it, and its options.

    `joins`: runs from several threads are joined to larger ones (`runtime.batching`), as GPUs need many pictures.
    """

    name: str
    remedy: str
    options: Mapping[str, str]
    joins: bool = False


PROVIDERS: Mapping[str, Provider] = {
    "cuda": Provider(
        "CUDAExecutionProvider",
        "install NVIDIA's driver, the extra `likeness[cuda]`, and then, as it shares its files with onnxruntime, "
        "`pip install --force-reinstall --no-deps onnxruntime-gpu`",
        {"arena_extend_strategy": "kSameAsRequested"},
        joins=True,
    ),
    "openvino": Provider("OpenVINOExecutionProvider", "install onnxruntime-openvino in the place of onnxruntime", {}),
    "directml": Provider(
        "DmlExecutionProvider", "install onnxruntime-directml in the place of onnxruntime, on Windows", {}, joins=True
    ),
    "coreml": Provider("CoreMLExecutionProvider", "use ONNX Runtime's package for macOS", {}),
}


def device_session(device: Device, file: Path, options: Any) -> Any:
    """A session of the network in `file` on `device`; None if that is the processor, or auto finds no other.

    Raises SettingsError, with the reason, if the device was asked for and is missing; what ONNX Runtime raises for a
    file that it cannot run.
    """
    if device == "cpu":
        return None
    wanted = PROVIDERS["cuda" if device == "auto" else device]
    session, reason = _session(wanted, file, options)
    if session is None and device != "auto":
        raise SettingsError(f"the device is {device}, but {reason}; {wanted.remedy}, or use the device cpu")
    _log.info("%s runs on %s", file.name, "the processor" if session is None else wanted.name)
    if session is None or not wanted.joins:
        return session
    from likeness.runtime.batching import joined  # imports numpy, which a server must not before it forks

    return joined(session)


def _session(wanted: Provider, file: Path, options: Any) -> tuple[Any, str]:
    """The session, or None and why there is none."""
    import onnxruntime

    if wanted.name not in onnxruntime.get_available_providers():
        return None, f"this ONNX Runtime ({onnxruntime.__version__}) is not built with {wanted.name}"
    if wanted.name == "CUDAExecutionProvider":
        # Finds the libraries that NVIDIA's Python packages bring, and prints those that are missing.
        with redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls()
    providers = [(wanted.name, dict(wanted.options)), "CPUExecutionProvider"]
    if wanted.name == "CPUExecutionProvider":  # stands in for a device in tests
        providers = providers[1:]
    session = onnxruntime.InferenceSession(str(file), options, providers=providers)
    # Without its driver, ONNX Runtime only prints a warning and uses the processor.
    if wanted.name not in session.get_providers():
        return None, f"{wanted.name} does not start, as its driver or a library is missing"
    return session, ""
