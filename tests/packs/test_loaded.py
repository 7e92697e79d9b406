"""Loaded packs: by name or folder, networks on demand, damage found before ONNX Runtime reads it."""

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from likeness import packs
from likeness.errors import PackDamaged, PackInvalid, PackNotInstalled
from likeness.packs.tables import to_toml

X = np.ones((1, 3, 4, 4), np.float32)


def test_the_first_load_installs_the_pack(tiny_index, monkeypatch) -> None:
    pack = packs.load("tiny", threads=1)
    np.testing.assert_allclose(pack.network("detector")(X)[0], 3.0)
    np.testing.assert_allclose(pack.network("embedder")(X)[0], 4.0)
    assert pack.manifest.name == "tiny"
    assert pack.has("embedder")
    assert not pack.has("mesh")
    tiny_index.requests.clear()
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    packs.load("tiny")
    assert tiny_index.requests == []


def test_offline_the_first_load_says_what_to_do(tiny_index, monkeypatch) -> None:
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    with pytest.raises(PackNotInstalled, match="likeness packs install tiny"):
        packs.load("tiny")
    assert tiny_index.requests == []


def test_a_pack_is_any_folder_with_a_manifest(tiny_index, tmp_path: Path, monkeypatch) -> None:
    copied = tmp_path / "mine"
    shutil.copytree(packs.install("tiny"), copied)
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "other"))
    monkeypatch.chdir(tmp_path)
    for given in (copied, str(copied), "./mine", "mine"):
        np.testing.assert_allclose(packs.load(given, threads=1).network("detector")(X)[0], 3.0)
    with pytest.raises(PackInvalid, match=r"nowhere/manifest.toml cannot be read"):
        packs.load(tmp_path / "nowhere")


def test_networks_are_opened_on_demand_once(tiny_index, monkeypatch) -> None:
    pack = packs.load("tiny", threads=1)
    # A damaged embedder does not concern who only detects.
    pack.manifest.path("b.onnx").write_bytes(b"?")
    with ThreadPoolExecutor(8) as pool:
        networks = set(pool.map(lambda _: pack.network("detector"), range(16)))
    assert len(networks) == 1
    assert packs.load("tiny", threads=2).network("detector") not in networks
    with pytest.raises(PackDamaged, match=r"b.onnx has 1 bytes instead of \d+; run: likeness packs install tiny"):
        pack.network("embedder")
    with pytest.raises(PackInvalid, match="has no role 'mesh'"):
        pack.network("mesh")


@pytest.mark.parametrize("harm", ["truncated", "edited", "gone"])
def test_a_damaged_network_is_named_with_the_command_that_mends_it(tiny_index, harm: str) -> None:
    folder = packs.install("tiny")
    packs.load("tiny", threads=1).network("detector")
    path = folder / "a.onnx"
    content = path.read_bytes()
    path.unlink()
    if harm != "gone":
        path.write_bytes(content[:-1] if harm == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    # The prepared copy of the whole file is still there; it must not hide the damage.
    with pytest.raises(PackDamaged, match=r"a.onnx .*run: likeness packs install tiny"):
        packs.load("tiny", threads=1).network("detector")


def test_a_damaged_manifest_is_named_and_mended_without_fetching_what_is_whole(tiny_index) -> None:
    manifest = packs.install("tiny") / "manifest.toml"
    manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(PackInvalid, match=r"manifest.toml .*; run: likeness packs install tiny"):
        packs.load("tiny")
    tiny_index.requests.clear()
    packs.install("tiny")
    assert tiny_index.requests == []
    packs.load("tiny", threads=1).network("detector")


def test_data_files_are_arrays_checked_by_hash(tiny_index, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(packs.install("tiny"), folder)
    np.save(folder / "cohort.npy", np.eye(3))
    table = dict(packs.load(folder).manifest.table)
    content = (folder / "cohort.npy").read_bytes()
    row = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    table["files"] = {**table["files"], "cohort.npy": row}
    (folder / "manifest.toml").write_text(to_toml(table))
    values = packs.load(folder).array("cohort.npy")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.eye(3))
    with pytest.raises(PackDamaged, match="is not an array of numbers"):
        packs.load(folder).array("a.onnx")
    (folder / "cohort.npy").write_bytes(b"?")
    with pytest.raises(PackDamaged, match=r"cohort.npy .*copy the pack again"):
        packs.load(folder).array("cohort.npy")
    with pytest.raises(PackInvalid, match=r"has no file 'other\.npy'"):
        packs.load(folder).array("other.npy")


def test_the_threads_are_those_that_the_process_may_use(tiny_index, monkeypatch) -> None:
    monkeypatch.setattr("likeness.packs.loaded.thread_budget", lambda: 5)
    assert packs.load("tiny").threads == 5
    assert packs.load("tiny", threads=2).threads == 2


def test_importing_packs_brings_neither_onnxruntime_nor_an_http_client() -> None:
    code = "import sys, likeness.packs; print([m for m in ('onnxruntime', 'urllib3', 'onnx') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
