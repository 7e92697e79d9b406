"""ONNX Runtime sessions: right numbers, explicit choices, clear errors."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, load_model_from_string, save
from tests.full_disk import file_size_limit
from tests.packs.conftest import tiny_network

from likeness import packs
from likeness.errors import PackDamaged, PackInvalid, SettingsError
from likeness.runtime import sessions
from likeness.runtime.sessions import Runtime

X = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small network: doubles its input and adds the mean."""
    path = tmp_path / "a.onnx"
    path.write_bytes(tiny_network())
    return path


def opened(file: Path, **choices):
    return Runtime(**{"threads": 1, **choices}).open(file, hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_network_takes_arrays_and_gives_arrays_of_any_size(file: Path) -> None:
    network = opened(file)
    (y,) = network(X)
    np.testing.assert_allclose(y, X * 2 + X.mean())
    assert network(np.ones((2, 3, 5, 7), np.float32))[0].shape == (2, 3, 5, 7)
    assert network.input_shapes == [["N", 3, "H", "W"]]
    assert network.output_names == ["y"]
    with pytest.raises(PackInvalid, match=r"a.onnx takes 1 input, not 2"):
        network(X, X)
    with pytest.raises(PackInvalid, match=r"a.onnx does not run on 1×3×2: .* Got: 3 Expected: 4"):
        network(X[0][np.newaxis, :, :, 0])


def test_a_pack_has_no_weights_beyond_the_file_that_its_hash_covers(file: Path, tmp_path: Path) -> None:
    model = load_model_from_string(tiny_network())
    weights = helper.make_tensor("w", TensorProto.FLOAT, [300], np.ones(300, np.float32).tobytes(), raw=True)
    model.graph.initializer.append(weights)
    save(model, str(file), save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(PackInvalid, match=r"a\.onnx has weights in other files, .*: `likeness packs new` writes them"):
        opened(file, optimised=tmp_path / "optimised")


def test_all_sessions_of_a_process_share_one_arena(file: Path, monkeypatch) -> None:
    made = []
    monkeypatch.setattr(onnxruntime, "create_and_register_allocator", lambda *_: made.append("arena"))
    monkeypatch.setattr(
        sessions, "_make_arena", cache(sessions._make_arena.__wrapped__)
    )  # the process may have its own
    options = [Runtime(threads=1)._cpu_options() for _ in range(3)]
    assert made == ["arena"]
    assert {each.get_session_config_entry("session.use_env_allocators") for each in options} == {"1"}


def test_the_optimised_network_is_saved_once_and_gives_the_same(file: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "optimised"
    first = opened(file, optimised=folder)(X)[0]
    (saved,) = folder.iterdir()
    monkeypatch.setattr(Runtime, "_optimise", lambda *_: pytest.fail("it was optimised again"))
    np.testing.assert_array_equal(opened(file, optimised=folder)(X)[0], first)
    assert list(folder.iterdir()) == [saved]


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-3], lambda b: b"", lambda b: b[:40] + b"?" + b[41:], lambda b: b + b"x"]
)
def test_a_damaged_optimised_network_is_made_again(file: Path, tmp_path: Path, harm) -> None:
    folder = tmp_path / "optimised"
    expected = opened(file, optimised=folder)(X)[0]
    (saved,) = folder.iterdir()
    content = saved.read_bytes()
    saved.write_bytes(harm(content))
    np.testing.assert_array_equal(opened(file, optimised=folder)(X)[0], expected)
    assert list(folder.iterdir()) == [saved]
    assert saved.read_bytes() == content


def test_an_optimised_network_that_does_not_open_is_made_again(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "optimised"
    expected = opened(file, optimised=folder)(X)[0]
    (saved,) = folder.iterdir()
    other = tmp_path / "other"
    other.write_bytes(b"no network at all")
    fake = saved.with_name(f"{saved.stem.rpartition('-')[0]}-{sessions._checksum(other)}.onnx")
    saved.unlink()
    other.rename(fake)
    np.testing.assert_array_equal(opened(file, optimised=folder)(X)[0], expected)
    assert list(folder.iterdir()) == [saved]


def test_many_who_optimise_at_once_do_not_disturb_each_other(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "optimised"
    ready = threading.Barrier(6)

    def work(_: int):
        ready.wait()
        return opened(file, optimised=folder)(X)[0]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(work, range(6)))
    assert all(np.array_equal(result, results[0]) for result in results)
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_costs_only_time(file: Path, tmp_path: Path) -> None:
    (tmp_path / "optimised").write_text("a file, not a folder")
    np.testing.assert_allclose(opened(file, optimised=tmp_path / "optimised")(X)[0], X * 2 + X.mean())


def test_a_folder_that_is_there_and_cannot_be_written_costs_only_time(file: Path, tmp_path: Path) -> None:
    """ONNX Runtime says so by a bare RuntimeError. As root may write everywhere, a directory is in the file's place."""
    name = f"{hashlib.sha256(file.read_bytes()).hexdigest()[:24]}-{sessions._processor_key()}"
    folder = tmp_path / "optimised"
    (folder / f".{name}.{os.getpid()}.{threading.get_ident()}").mkdir(parents=True)
    np.testing.assert_allclose(opened(file, optimised=folder)(X)[0], X * 2 + X.mean())


@pytest.mark.fault
@pytest.mark.parametrize("room", [0, 100])
def test_a_disk_that_fills_while_a_network_is_saved_costs_only_time(file: Path, tmp_path: Path, room: int) -> None:
    folder = tmp_path / "optimised"
    with file_size_limit(room):
        for _ in range(2):
            np.testing.assert_allclose(opened(file, optimised=folder)(X)[0], X * 2 + X.mean())
            assert list(folder.iterdir()) == []
    opened(file, optimised=folder)
    (saved,) = folder.iterdir()
    assert saved.stat().st_size > 100


def test_another_version_or_processor_has_its_own_optimised_network(file: Path, tmp_path: Path, monkeypatch) -> None:
    opened(file, optimised=tmp_path / "optimised")
    monkeypatch.setattr(onnxruntime, "__version__", "0.0.0")
    sessions._processor_key.cache_clear()
    opened(file, optimised=tmp_path / "optimised")
    sessions._processor_key.cache_clear()
    assert len(list((tmp_path / "optimised").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08"])
def test_a_file_that_is_no_network_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    for folder in (None, tmp_path / "optimised"):
        with pytest.raises(PackDamaged, match=r"x.onnx is not a network that ONNX Runtime"):
            opened(path, optimised=folder)


def test_threads_are_what_was_asked_and_do_not_spin() -> None:
    options = Runtime(threads=3)._options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_mem_pattern


def test_memory_is_planned_for_pictures_of_one_size_only(standard_pack: None) -> None:
    assert Runtime(threads=1, one_size=True)._options().enable_mem_pattern
    opened: dict[str, bool] = {}
    pack = packs.load("standard", threads=1)

    def note(runtime: Runtime, file: Path, sha256: str, role: str) -> None:
        opened[file.name] = runtime.one_size

    with mock.patch.object(Runtime, "open", note):
        for role in pack.manifest.roles:
            pack.network(role)
    varying = {"yunet.onnx"}
    assert opened == {file: file not in varying for file in opened}
    assert varying < opened.keys()


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this machine has CUDA")
def test_cuda_that_is_not_there_is_an_error_not_a_slow_answer(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"device is cuda.*likeness\[cuda\]"):
        opened(file, device="cuda")


def test_one_network_serves_many_threads(file: Path) -> None:
    network = opened(file, threads=2)
    inputs = [np.full((1, 3, 8, 8), value, np.float32) for value in range(32)]
    with ThreadPoolExecutor(8) as pool:
        for value, (y,) in enumerate(pool.map(network, inputs)):
            np.testing.assert_allclose(y, 3.0 * value)


def test_a_network_with_a_name_that_is_no_text_is_named(tmp_path: Path) -> None:
    """ONNX Runtime quotes the name of an unknown operator in its message, which is then no UTF-8."""
    graph = helper.make_graph(
        [helper.make_node("Unknown", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString().replace(b"Unknown", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9"))
    for folder in (None, tmp_path / "optimised"):
        with pytest.raises(PackDamaged, match=r"x.onnx is not a network that ONNX Runtime"):
            opened(path, optimised=folder)
