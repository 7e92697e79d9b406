"""A folder as a bucket: its files are objects, and nothing outside it is ever read."""

import contextlib
import itertools
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from likeness.errors import ImageTooLarge, InvalidImageFormat, InvalidS3Object, SettingsError
from likeness.sources.directory import DirectoryStore

SECRET = b"the secret outside"


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """A folder with a few photos, and a secret beside it."""
    folder = tmp_path / "bucket"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "photo.jpg").write_bytes(b"photo")
    (folder / "empty").write_bytes(b"")
    (tmp_path / "secret").write_bytes(SECRET)
    return folder


def fetch(folder: Path, name: str, version: str | None = None, max_bytes: int = 100) -> bytes:
    return DirectoryStore(folder).fetch("bucket", name, version, max_bytes=max_bytes, deadline=time.monotonic() + 60)


def test_gives_the_bytes_of_a_file(bucket: Path) -> None:
    assert fetch(bucket, "a/b/photo.jpg") == b"photo"


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "a/../../secret",
        "a/b/../../../secret",
        "/etc/passwd",
        "//etc/passwd",
        "a//b/photo.jpg",
        "./a/b/photo.jpg",
        "a/b/photo.jpg/",
        "a/b/photo.jpg/x",
        "a",
        "",
        "..",
        "photo\0.jpg",
        "not-there",
        "x" * 300,
        "\ud800",
    ],
)
def test_refuses_names_that_are_not_files_of_the_folder(bucket: Path, name: str) -> None:
    with pytest.raises(InvalidS3Object):
        fetch(bucket, name)


def test_refuses_links_to_files_and_folders(bucket: Path, tmp_path: Path) -> None:
    (bucket / "link").symlink_to(tmp_path / "secret")
    (bucket / "out").symlink_to(tmp_path)
    (bucket / "inside").symlink_to(bucket / "a" / "b" / "photo.jpg")
    for name in ("link", "out/secret", "inside"):
        with pytest.raises(InvalidS3Object, match="link"):
            fetch(bucket, name)


def test_refuses_fifos_and_devices_without_waiting(bucket: Path) -> None:
    os.mkfifo(bucket / "fifo")
    begun = time.process_time()
    with pytest.raises(InvalidS3Object, match="not a regular file"):
        fetch(bucket, "fifo")
    with pytest.raises(InvalidS3Object, match="not a regular file"):
        fetch(Path("/dev"), "zero")
    assert time.process_time() - begun < 1


def test_limits(bucket: Path) -> None:
    (bucket / "five").write_bytes(b"12345")
    assert fetch(bucket, "five", max_bytes=5) == b"12345"
    with pytest.raises(ImageTooLarge):
        fetch(bucket, "five", max_bytes=4)
    with pytest.raises(InvalidImageFormat):
        fetch(bucket, "empty")


def test_a_file_that_is_not_read_by_the_deadline_is_given_up(bucket: Path) -> None:
    with pytest.raises(InvalidS3Object, match="before the request's deadline"):
        DirectoryStore(bucket).fetch("bucket", "a/b/photo.jpg", None, max_bytes=100, deadline=time.monotonic())


def test_no_descriptor_stays_open(bucket: Path) -> None:
    """Callers choose the names, and a server without a free descriptor answers nobody."""
    os.mkfifo(bucket / "a" / "b" / "fifo")
    store = DirectoryStore(bucket)
    before = len(os.listdir("/dev/fd"))
    for name in ("a/b/photo.jpg", "a/b/none", "a/none/photo.jpg", "a/b/photo.jpg/x", "a/b", "a/b/fifo"):
        with contextlib.suppress(InvalidS3Object):
            store.fetch("bucket", name, None, max_bytes=100, deadline=time.monotonic() + 60)
    assert len(os.listdir("/dev/fd")) == before


def test_a_folder_has_no_versions(bucket: Path) -> None:
    with pytest.raises(InvalidS3Object, match="no versions"):
        fetch(bucket, "a/b/photo.jpg", version="1")


def test_the_folder_itself_may_be_a_link_but_must_be_there(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(bucket)
    assert fetch(tmp_path / "alias", "a/b/photo.jpg") == b"photo"
    with pytest.raises(SettingsError, match="not a folder"):
        DirectoryStore(tmp_path / "secret")


@pytest.mark.parametrize("swapped", ["a", "a/b", "a/b/photo.jpg"])
@pytest.mark.parametrize("opened", [1, 2, 3, 4])
def test_what_is_swapped_for_a_link_while_it_is_opened_never_leaks(
    swapped: str, opened: int, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of the parts is opened, what has been checked may be a link to the outside."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "photo.jpg").write_bytes(SECRET)
    store, really_open, times = DirectoryStore(bucket), os.open, itertools.count(1)

    def open_and_swap(*arguments: Any, **options: Any) -> int:
        descriptor = really_open(*arguments, **options)
        if next(times) == opened:
            os.rename(bucket / swapped, tmp_path / "away")
            (bucket / swapped).symlink_to(tmp_path / swapped)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_swap)
    with contextlib.suppress(InvalidS3Object):
        assert store.fetch("bucket", "a/b/photo.jpg", None, max_bytes=100, deadline=time.monotonic() + 60) == b"photo"
    assert next(times) > opened


def test_swapping_a_folder_for_a_link_never_leaks(bucket: Path, tmp_path: Path) -> None:
    """One thread keeps replacing a folder by a link to the outside; no read may ever see what is there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "photo.jpg").write_bytes(SECRET)
    (tmp_path / "link").symlink_to(outside)
    inside, link, spare = bucket / "a" / "b", tmp_path / "link", tmp_path / "spare"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(inside, spare)
            os.rename(link, inside)
            os.rename(inside, link)
            os.rename(spare, inside)

    thread = threading.Thread(target=swap)
    thread.start()
    answers = set()
    try:
        end = time.monotonic() + 60
        for number in itertools.count():
            if number >= 3000 and (len(answers) == 2 or time.monotonic() > end):
                break
            try:
                answers.add(fetch(bucket, "a/b/photo.jpg"))
            except InvalidS3Object as refused:
                answers.add(type(refused).__name__.encode())
    finally:
        stop.set()
        thread.join()
    assert SECRET not in answers
    assert answers == {b"photo", b"InvalidS3Object"}


@settings(max_examples=200, deadline=None)
@example(["..", "secret"])
@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "secret", "bucket", "photo.jpg"]), max_size=6))
def test_no_name_reaches_the_secret(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "property"
    folder = root / "bucket" / "a" / "b"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "secret").write_bytes(SECRET)
    (root / "bucket" / "a" / "secret").write_bytes(b"inside")
    try:
        answer = fetch(root / "bucket", "/".join(parts))
    except InvalidS3Object:
        return
    assert answer == b"inside"


def test_lists_regular_files_below_a_prefix_and_follows_no_link(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "c.jpg").write_bytes(SECRET)
    (bucket / "a" / "b2.jpg").write_bytes(b"photo")
    (bucket / "a" / "link.jpg").symlink_to(tmp_path / "secret")
    (bucket / "a" / "out").symlink_to(tmp_path / "outside")
    os.mkfifo(bucket / "a" / "pipe.jpg")
    store = DirectoryStore(bucket)
    assert sorted(each.name for each in store.objects("bucket", "")) == ["a/b/photo.jpg", "a/b2.jpg", "empty"]
    assert [each.name for each in store.objects("bucket", "a/b/")] == ["a/b/photo.jpg"]
    assert sorted(each.name for each in store.objects("bucket", "a/b")) == ["a/b/photo.jpg", "a/b2.jpg"]
    for nowhere in ("a/out/", "../", "nothing/", "/"):
        assert list(store.objects("bucket", nowhere)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_listed_is_told_so(bucket: Path) -> None:
    (bucket / "a").chmod(0)
    with pytest.raises(InvalidS3Object, match="cannot be listed: the server may not read it"):
        list(DirectoryStore(bucket).objects("bucket", ""))
    (bucket / "a").chmod(0o700)
