"""The packs of the catalogue as installed from the package index or the cache."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from likeness import packs
from likeness.packs import store

MODELS = (
    Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")).parent / "models"
)


@pytest.fixture(scope="module")
def standard(standard_pack: None) -> packs.LoadedPack:
    return packs.load("standard", threads=1)


@pytest.mark.engine
def test_the_standard_pack_installs_whole_and_as_the_catalogue_says(standard) -> None:
    assert store.damages(standard.manifest.folder) == []
    known = store.known("standard")
    assert dict(standard.manifest.roles) == dict(known.roles)
    for file in known.files.values():
        if file.sha256:
            assert standard.manifest.files[file.name].sha256 == file.sha256, f"{file.name} converts differently here"


@pytest.mark.engine
@pytest.mark.parametrize("role", ["detector", "embedder", "mesh", "expression"])
def test_every_role_answers_with_finite_numbers(standard, role: str) -> None:
    network = standard.network(role)
    (shape,) = network.input_shapes
    sides = [64 if isinstance(side, str) else side for side in shape[1:]]  # the detector takes any
    fed = np.full((1, *sides), 128, np.uint8 if network.takes_bytes else np.float32)
    for output in network(fed):
        assert output.shape[0] == 1
        assert np.isfinite(output).all()


@pytest.mark.engine
def test_the_samples_are_the_published_photographs(portraits: dict[str, Path]) -> None:
    assert {"obama.jpg", "obama2.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg", "biden.jpg"} <= set(
        portraits
    )
    for name, path in portraits.items():
        content = path.read_bytes()
        assert content[:2] == b"\xff\xd8"
        assert hashlib.sha256(content).hexdigest() == store.known("samples").files[name].sha256


@pytest.mark.data
@pytest.mark.skipif(not MODELS.is_dir(), reason="the reference networks are not on this machine")
def test_a_pack_of_files_that_the_user_hands_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path))
    packs.install("yunet-retail", source_dir=MODELS)
    pack = packs.load("yunet-retail", threads=1)
    assert len(pack.network("detector")(np.zeros((1, 3, 640, 640), np.float32))) == 12
    vectors = pack.network("embedder")(np.zeros((2, 3, 128, 128), np.float32))[0]
    assert vectors.reshape(2, -1).shape == (2, 256)
    assert pack.manifest.embedder_input().colour == "bgr"
