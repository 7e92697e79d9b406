"""The engine's first comparison, and its log messages."""

import logging
from typing import Any

import pytest

from likeness.errors import NoFaceFound, PackInvalid
from likeness.server import loader
from likeness.server.several_packs import SeveralPacks


class NoFaces:
    """A comparer on some pack to which no photo shows a face."""

    pack_identity = "standard 1 0123456789ab"

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass

    def compare(self, source: bytes, target: bytes, **how: Any) -> Any:
        assert source[:2] == b"\xff\xd8"
        raise NoFaceFound("source photo: no face found")


class Broken(NoFaces):
    """A comparer on a pack whose network does not fit."""

    def compare(self, source: bytes, target: bytes, **how: Any) -> Any:
        raise IndexError("boolean index\n did not match")


def test_the_log_says_which_pack_the_engine_works_with(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        loader.ready_engine(NoFaces)
    assert "engine ready: pack standard 1 0123456789ab" in caplog.text


def test_every_pack_compares_before_the_server_is_ready() -> None:
    with pytest.raises(
        PackInvalid, match=r"the pack standard 1 .* cannot compare: IndexError: boolean index did not match"
    ):
        loader.ready_engine(Broken)
    with pytest.raises(PackInvalid, match="the pack new cannot compare: IndexError"):
        loader.ready_engine(lambda: SeveralPacks(NoFaces(), {"other": NoFaces(), "new": Broken()}, "new"))


def test_a_lack_of_memory_is_no_fault_of_the_pack() -> None:
    class Full(NoFaces):
        def compare(self, source: bytes, target: bytes, **how: Any) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        loader.ready_engine(Full)
