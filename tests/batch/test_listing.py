"""What is in folders and buckets, in order of the paths, however odd the names are."""

import gc
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from likeness.batch import listing
from likeness.batch.errors import BatchError
from likeness.batch.listing import Listing
from likeness.batch.rows import AllPairsInput, FolderRows
from likeness.sources.store import StoreSettings
from likeness.sources.stores import Stores

NOWHERE = Stores(())


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_photos_of_a_folder_come_in_order_of_the_parts_of_their_paths(tmp_path: Path) -> None:
    names = ["a/2.JPG", "a/\n.jpg", "a-b.jpg", "a.png", "notes.txt", "日本/ü 1.jpeg"]
    folder = make(tmp_path, *names)
    found = [str(Path(each).relative_to(folder)) for each in Listing(str(folder), NOWHERE)]
    assert found == ["a/\n.jpg", "a/2.JPG", "a-b.jpg", "a.png", "日本/ü 1.jpeg"]
    assert list(Listing(str(folder / "a.png"), NOWHERE)) == [str(folder / "a.png")]


def test_the_temporary_file_is_closed_with_the_listing(tmp_path: Path) -> None:
    found = Listing(str(make(tmp_path, "a.jpg")), NOWHERE)
    database = found._photos
    del found
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_links_and_what_cannot_be_read_are_photos_and_pipes_are_not(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("gone")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    found = Listing(str(tmp_path), NOWHERE)
    assert [Path(each).name for each in found] == ["a.jpg", "loop.jpg", "nowhere.jpg"]
    assert found.fingerprint == Listing(str(tmp_path), NOWHERE).fingerprint
    make(tmp_path, "gone")
    assert found.fingerprint != Listing(str(tmp_path), NOWHERE).fingerprint


def test_places_without_photos_are_told_so(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match=r"holds no photos \(\.jpg, \.jpeg, \.png\)"):
        Listing(str(tmp_path), NOWHERE)
    with pytest.raises(BatchError, match="is neither a folder nor a photo"):
        Listing(str(tmp_path / "nowhere"), NOWHERE)
    with pytest.raises(BatchError, match="no store is set for bucket 'b'"):
        Listing("s3://b/x/", NOWHERE)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_prefix_of_a_bucket_is_a_folder(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    names = ("cards/anna.jpg", "cards/bob.JPG", "cards/readme.txt", "cards-old/anna.jpg", "sets/anna/1.jpg")
    settings = StoreSettings(directory=make(tmp_path / "bucket", *names)) if kind == "folder" else StoreSettings()
    if kind == "s3":
        put(request.getfixturevalue("bucket"), names)
    objects = Stores([settings])
    for place in ("s3://faces/cards/", "s3://faces/cards"):
        assert list(Listing(place, objects)) == ["s3://faces/cards/anna.jpg", "s3://faces/cards/bob.JPG"]
    photos = {f"s3://faces/{name}" for name in names if not name.endswith(".txt")}
    assert set(Listing("s3://faces", objects)) >= photos  # of other tests, too
    assert list(Listing("s3://faces/cards/anna.jpg", objects)) == ["s3://faces/cards/anna.jpg"]
    cards, sets = Listing("s3://faces/cards/", objects), Listing("s3://faces/sets/", objects)
    assert [(row.source, row.target) for row in FolderRows(cards, sets, match_names=True)] == [
        ("s3://faces/cards/anna.jpg", "s3://faces/sets/anna/1.jpg")
    ]
    assert len(list(FolderRows(cards, sets))) == 2
    for nothing in ("s3://faces/nothing/", "s3://faces/cards/none.jpg"):
        with pytest.raises(BatchError, match="holds no photos"):
            Listing(nothing, objects)


def put(bucket: str, names: tuple[str, ...]) -> None:
    import boto3

    client: Any = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
    for name in names:
        client.put_object(Bucket=bucket, Key=name, Body=b"x")
    client.close()


def test_another_photo_is_another_job(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.jpg")
    before = AllPairsInput(Listing(str(tmp_path), NOWHERE), 3).fingerprint
    assert AllPairsInput(Listing(str(tmp_path), NOWHERE), 4).fingerprint != before
    assert AllPairsInput(Listing(str(tmp_path), NOWHERE), 3).fingerprint == before
    make(tmp_path, "c.jpg")
    assert AllPairsInput(Listing(str(tmp_path), NOWHERE), 3).fingerprint != before


def test_a_listing_holds_no_photos_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    found = listing._Found
    count = 0

    def many(_: str) -> Any:
        return (found(f"photos/{number:07}.jpg", f"{number:07}.jpg", "1") for number in range(count))

    monkeypatch.setattr(listing, "_files", many)

    def peak(photos: int) -> int:
        nonlocal count
        count = photos
        tracemalloc.start()
        try:
            place = Listing("photos", NOWHERE)
            assert sum(1 for _ in place) == photos
            assert place.fingerprint
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    few, many_more = peak(1_000), peak(50_000)
    assert many_more < few + (256 << 10), (few, many_more)
