"""The engine's first comparison, and its log messages."""

import logging
from typing import Any

import pytest

from likeness.errors import NoFaceFound
from likeness.server import loader


class NoFaces:
    """A comparer on some pack to which no photo shows a face."""

    pack_identity = "standard 1 0123456789ab"

    def compare(self, source: bytes, target: bytes, **how: Any) -> Any:
        assert source[:2] == b"\xff\xd8"
        raise NoFaceFound("source photo: no face found")


def test_the_log_says_which_pack_the_engine_works_with(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        loader._compare_once(NoFaces())  # type: ignore[arg-type]
    assert "engine ready: pack standard 1 0123456789ab" in caplog.text
