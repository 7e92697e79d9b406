"""The store of a bucket."""

import time
from pathlib import Path

import pytest

from likeness.errors import InvalidS3Object
from likeness.sources.credentials import Credentials
from likeness.sources.store import StoreSettings
from likeness.sources.stores import Stores


def test_the_first_matching_pattern_decides(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(name.encode())
    stores = Stores([StoreSettings("photos-*", tmp_path / "one"), StoreSettings("photos-b", tmp_path / "two")])
    assert stores.fetch("photos-b", "x", None, max_bytes=10, deadline=time.monotonic() + 60) == b"one"
    assert [each.name for each in stores.objects("photos-b", "")] == ["x"]
    with pytest.raises(InvalidS3Object, match=r"no store is set for bucket 'Photos-b'"):
        stores.fetch("Photos-b", "x", None, max_bytes=10, deadline=time.monotonic() + 60)


def test_secrets_are_not_shown() -> None:
    shown = repr(StoreSettings(access_key_id="AK", secret_access_key="hidden-1", session_token="hidden-2"))
    shown += repr(Credentials("AK", "hidden-1", "hidden-2"))
    assert "AK" in shown
    assert "hidden" not in shown
