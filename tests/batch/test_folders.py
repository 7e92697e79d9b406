"""Folders of photos whose names or places are odd: told before the work, and no photo left out without a word."""

import os
from pathlib import Path

import pytest

from likeness.batch.errors import BatchError
from likeness.batch.rows import EveryTwo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    for name in ("a.jpg", "inner/b.jpg"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_name_that_no_output_could_hold_is_told(photos: Path) -> None:
    os.close(os.open(os.fsencode(photos) + b"/f\xff.jpg", os.O_CREAT))
    with pytest.raises(BatchError, match=r"f\\udcff\.jpg': the name is not UTF-8"):
        _ = EveryTwo(photos).photos


def test_a_broken_link_is_a_photo_like_others(photos: Path) -> None:
    before = EveryTwo(photos).fingerprint
    (photos / "c.jpg").symlink_to("nowhere")
    assert len(EveryTwo(photos).photos) == 3
    assert EveryTwo(photos).fingerprint != before


def test_a_folder_that_cannot_be_read_is_told(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "inner":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(BatchError, match="inner cannot be read: Permission denied"):
        _ = EveryTwo(photos).photos
