"""Where `packs new` writes, and the photos of the user that it tries on."""

import errno
from pathlib import Path
from typing import cast

import pytest

from likeness.authoring import new_pack, portraits
from likeness.authoring.new_pack import Networks, make_pack
from likeness.authoring.portraits import MOST_PHOTOS, Portrait, portraits_of
from likeness.errors import PackInvalid
from likeness.vision.pyramid import Pyramid

NETWORKS = Networks(Path("d.onnx"), Path("e.onnx"))


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are not decoded; those named so are damaged."""

    def portrait(path: Path, person: str) -> Portrait:
        if "damaged" in path.name:
            raise OSError
        return Portrait(path.name, person, cast(Pyramid, None))

    monkeypatch.setattr(portraits, "_portrait", portrait)


def taken(table: Path, rows: list[str]) -> list[str]:
    table.write_text("\n".join(["image,person", *rows]))
    return [each.name for each in portraits_of(table)]


@pytest.mark.usefixtures("unread")
def test_photos_are_of_several_people_in_turns_and_readable(tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    many = [f"a{photo}.jpg,a" for photo in range(100)]
    few = [f"{person}{photo}.jpg,{person}" for person in "bc" for photo in range(2)]
    found = taken(table, [*many, "d0.jpg,d", *few])
    assert found[:9] == ["a0.jpg", "a1.jpg", "a2.jpg", "b0.jpg", "b1.jpg", "c0.jpg", "c1.jpg", "d0.jpg", "a3.jpg"]
    assert len(found) == MOST_PHOTOS
    damaged = [f"damaged{photo}.jpg,{photo // 3}" for photo in range(90)]
    found = taken(table, [*damaged, *[f"{photo}.jpg,{100 + photo // 3}" for photo in range(90)]])
    assert found == [f"{photo}.jpg" for photo in range(MOST_PHOTOS)]


def test_a_link_to_nothing_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "pack").symlink_to(tmp_path / "missing")
    with pytest.raises(PackInvalid, match="exists; name a new folder"):
        make_pack(tmp_path / "pack", NETWORKS, [])


def test_templates_that_there_are_not_are_refused_before_the_trials(tmp_path: Path) -> None:
    networks = Networks(Path("d.onnx"), Path("e.onnx"), template="sphereface")
    with pytest.raises(PackInvalid, match="no template 'sphereface'; known are arcface, arcface-in-128, retail"):
        make_pack(tmp_path / "pack", networks, [])


def test_a_disk_that_takes_nothing_more_is_named_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(new_pack, "read_detector", full)
    with pytest.raises(PackInvalid, match=r"pack cannot be written \(No space left on device\); free some space"):
        make_pack(tmp_path / "pack", NETWORKS, [])
    (tmp_path / "file").touch()
    with pytest.raises(PackInvalid, match=r"file.pack cannot be written \(.*file: "):
        make_pack(tmp_path / "file" / "pack", NETWORKS, [])
