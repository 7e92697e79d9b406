"""A device that was asked for and is missing is an error that says why; none is replaced silently."""

from pathlib import Path

import onnxruntime
import pytest
from tests.packs.conftest import tiny_network

from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import SettingsError
from likeness.runtime import devices
from likeness.runtime.devices import DEVICES, Device, Provider, device_session

OPTIONS = onnxruntime.SessionOptions()
BUILT = set(onnxruntime.get_available_providers())


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_network())
    return path


@pytest.mark.parametrize("device", [name for name, each in devices.PROVIDERS.items() if each.name not in BUILT])
def test_a_device_that_onnx_runtime_is_not_built_for_is_refused_in_words(network: Path, device: Device) -> None:
    wanted = devices.PROVIDERS[device]
    with pytest.raises(SettingsError, match=f"the device is {device}, but .* is not built with {wanted.name}; "):
        device_session(device, network, OPTIONS)


def test_cpu_needs_no_session_of_its_own_and_auto_says_what_it_took(
    network: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    caplog.set_level("INFO", "likeness.runtime.devices")
    assert device_session("cpu", network, OPTIONS) is None
    assert device_session("auto", network, OPTIONS) is None
    assert [record.message for record in caplog.records] == ["tiny.onnx runs on the processor"]


def test_a_provider_that_does_not_start_is_no_silent_fallback(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Fallen:
        """A session that ONNX Runtime has moved to the processor, as it does without a driver."""

        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    missing = "Failed to load libcublas"
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print(missing), raising=False)  # noqa: T201
    with pytest.raises(SettingsError, match="does not start, as its driver or a library is missing; install NVIDIA's"):
        device_session("cuda", network, OPTIONS)
    printed = capsys.readouterr()
    assert (printed.out, missing in printed.err) == ("", True)  # standard output is for answers
    assert device_session("auto", network, OPTIONS) is None


@pytest.mark.engine
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_the_path_of_a_device_gives_the_answers_of_the_processor(
    device: Device, portraits: dict[str, Path], comparer: Comparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor stands in for the device, behind the same seam."""
    stand_in = Provider("CPUExecutionProvider", "", {})
    monkeypatch.setattr(devices, "PROVIDERS", {"cuda": stand_in})
    pair = portraits["obama.jpg"], portraits["biden.jpg"]
    with Comparer(settings=ComparerSettings(device=device)) as there:
        found = there.compare(*pair, similarity_threshold=0)
    known = comparer.compare(*pair, similarity_threshold=0)
    assert found.matches[0].similarity == pytest.approx(known.matches[0].similarity, abs=0.01)


def test_the_setting_names_all_devices() -> None:
    for device in DEVICES:
        assert ComparerSettings(device=device).device == device
    with pytest.raises(SettingsError, match="device is 'gpu'; it must be one of cpu, cuda, auto, openvino"):
        ComparerSettings(device="gpu")  # type: ignore[arg-type]
