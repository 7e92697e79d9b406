"""The preloaded engine: only where it is needed, and with the same results."""

import argparse
import threading
from pathlib import Path
from typing import Any

import pytest

from likeness import inprocess, packs
from likeness.cli import preload
from likeness.errors import PackDamaged

HOW = {"similarity_threshold": 80.0, "quality_filter": "NONE"}


class _Made:
    """Remembers the thread that made it and whether it was warmed up."""

    def __init__(self, pack: str, settings: object) -> None:
        self.pack, self.thread, self.warm = pack, threading.current_thread(), False

    def warm_up(self) -> None:
        self.warm = True

    def compare(self, source: bytes, target: bytes, **how: Any) -> Any:
        return self, source, target, how


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inprocess, "Comparer", _Made)


def test_the_engine_is_loaded_and_warmed_in_a_thread() -> None:
    comparer, *rest = preload.PreloadedComparer("mine").compare(b"s", b"t", **HOW)
    assert (comparer.pack, comparer.warm, rest) == ("mine", True, [b"s", b"t", HOW])
    assert comparer.thread is not threading.current_thread()


def test_what_is_wrong_is_said_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(pack: str, settings: object) -> None:
        raise PackDamaged(f"{pack} is damaged")

    monkeypatch.setattr(inprocess, "Comparer", damaged)
    with pytest.raises(PackDamaged, match="mine is damaged"):
        preload.PreloadedComparer("mine").compare(b"s", b"t", **HOW)


def test_a_pack_that_is_not_there_is_not_made_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path))
    for pack in (None, "no-such-name", str(tmp_path / "nothing")):
        assert preload.begin(argparse.Namespace(endpoint_url=None, pack=pack, uncalibrated=False, device=None)) is None


@pytest.mark.parametrize(
    ("option", "variable", "file", "begun"),
    [
        (None, None, None, True),
        ("http://localhost:1", None, None, False),
        (None, "AWS_ENDPOINT_URL", None, False),
        (None, "AWS_ENDPOINT_URL_REKOGNITION", None, False),
        (None, None, "[default]\nregion = eu-west-1\n", True),
        (None, None, "[default]\nendpoint_url = http://localhost:1\n", False),
    ],
)
def test_nothing_is_preloaded_if_a_server_may_be_used(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str | None,
    variable: str | None,
    file: str | None,
    begun: bool,
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_REKOGNITION"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "http://localhost:1")
    if file:
        (tmp_path / "config").write_text(file)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setattr(packs, "is_available", lambda _: True)
    assert (
        preload.begin(argparse.Namespace(endpoint_url=option, pack=None, uncalibrated=False, device=None)) is not None
    ) is begun
