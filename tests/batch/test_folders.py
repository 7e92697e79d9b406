"""Folders of photos whose names or places are odd: told before the work, and no photo left out without a word."""

import os
from pathlib import Path

import pytest

from likeness.batch.errors import BatchError
from likeness.batch.listing import Listing
from likeness.sources.stores import Stores


def listed(folder: Path) -> Listing:
    return Listing(str(folder), Stores(()))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    for name in ("a.jpg", "inner/b.jpg"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_name_that_no_output_could_hold_is_told(photos: Path) -> None:
    os.close(os.open(os.fsencode(photos) + b"/f\xff.jpg", os.O_CREAT))
    with pytest.raises(BatchError, match=r"f\\udcff\.jpg': the name is not UTF-8"):
        listed(photos)


def test_a_broken_link_is_a_photo_like_others(photos: Path) -> None:
    before = listed(photos).fingerprint
    (photos / "c.jpg").symlink_to("nowhere")
    assert len(listed(photos)) == 3
    assert listed(photos).fingerprint != before


def test_a_folder_that_cannot_be_read_is_told(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "inner":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(BatchError, match="inner cannot be read: Permission denied"):
        listed(photos)
