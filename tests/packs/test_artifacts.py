"""Downloads: streamed, resumed, verified; whatever the server does, the file is right or not there."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from likeness.errors import PackDamaged, PackDownloadFailed
from likeness.packs import artifacts
from likeness.packs.artifacts import fetch
from likeness.packs.web import Web


@pytest.fixture
def ready(index, tiny):
    """The fake index with the tiny pack's distributions."""
    index.files = dict(tiny.files)
    return index


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "pause", lambda _: None)


def part_of(folder: Path, distribution) -> Path:
    return folder / f"{distribution.sha256[:16]}-{distribution.file}.part"


def test_a_file_is_fetched_counted_and_kept_only_whole(ready, big, settings, tmp_path: Path, heard, tiny) -> None:
    path = fetch(big, tmp_path, Web(settings), heard)
    assert path.read_bytes() == tiny.files[big.file]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert heard.bytes == sorted(heard.bytes)
    assert heard.bytes[-1] == big.size


def test_what_is_there_is_not_fetched_again_unless_it_is_damaged(ready, big, settings, tmp_path: Path, heard) -> None:
    path = fetch(big, tmp_path, Web(settings), heard)
    ready.requests.clear()
    fetch(big, tmp_path, Web(settings), heard)
    assert ready.requests == []
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    fetch(big, tmp_path, Web(settings), heard)
    assert ready.requests != []


@pytest.mark.parametrize("have", [1, 65_536, 3_000_000])
def test_a_part_is_continued_where_it_stopped(ready, big, settings, tmp_path: Path, heard, tiny, have: int) -> None:
    part_of(tmp_path, big).write_bytes(tiny.files[big.file][:have])
    path = fetch(big, tmp_path, Web(settings), heard)
    assert path.read_bytes() == tiny.files[big.file]
    assert ready.requests[-1][1]["range"] == f"bytes={have}-"
    assert heard.bytes[0] == have


def test_a_complete_part_is_not_asked_for_again(ready, big, settings, tmp_path: Path, heard, tiny) -> None:
    part_of(tmp_path, big).write_bytes(tiny.files[big.file])
    fetch(big, tmp_path, Web(settings), heard)
    assert ready.paths() == ["/simple/big/"]


@pytest.mark.parametrize("length", [1000, 4_000_000], ids=["shorter", "longer"])
def test_a_part_of_something_else_is_started_again(
    ready, big, settings, tmp_path: Path, heard, tiny, length: int
) -> None:
    part_of(tmp_path, big).write_bytes(b"?" * length)
    assert fetch(big, tmp_path, Web(settings), heard).read_bytes() == tiny.files[big.file]


def test_a_server_without_ranges_starts_again(ready, big, settings, tmp_path: Path, heard, tiny) -> None:
    ready.ranges = False
    part_of(tmp_path, big).write_bytes(tiny.files[big.file][:5000])
    assert fetch(big, tmp_path, Web(settings), heard).read_bytes() == tiny.files[big.file]
    assert heard.bytes[0] == 0


def test_broken_connections_are_resumed_as_long_as_bytes_come(
    ready, big, settings, tmp_path: Path, heard, tiny
) -> None:
    ready.cuts, ready.cut_after = 6, 400_000
    assert fetch(big, tmp_path, Web(replace(settings, retries=1)), heard).read_bytes() == tiny.files[big.file]
    starts = [int(headers["range"][6:-1]) for path, headers in ready.requests if "range" in headers]
    assert len(starts) == 6
    assert starts == sorted(set(starts))


def test_connections_that_bring_nothing_end_the_try_and_the_part_stays(ready, big, settings, tmp_path, heard) -> None:
    ready.never_beyond = 1_000_000
    message = r"the connection broke off after 1.0 of 3.0 MB; run the same command again to go on, or .*--from DIR"
    with pytest.raises(PackDownloadFailed, match=message):
        fetch(big, tmp_path, Web(settings), heard)
    assert ready.paths().count(f"/files/{big.file}") == 1 + settings.retries
    assert part_of(tmp_path, big).stat().st_size == 1_000_000


def test_a_wrong_file_leaves_nothing_behind(ready, big, settings, tmp_path: Path, heard, tiny) -> None:
    ready.with_hashes = False
    ready.files[big.file] = b"!" * big.size
    with pytest.raises(
        PackDamaged, match=r"big-2.0.tar.gz from http://127.0.0.1:\d+/files/big-2.0.tar.gz is not the published file"
    ):
        fetch(big, tmp_path, Web(settings), heard)
    assert list(tmp_path.iterdir()) == []


def test_a_longer_file_is_not_read_to_its_end(ready, big, settings, tmp_path: Path, heard) -> None:
    ready.with_hashes = False
    ready.files[big.file] = b"!" * (big.size + 10_000_000)
    with pytest.raises(PackDamaged, match="sends more than the"):
        fetch(big, tmp_path, Web(settings), heard)
    assert list(tmp_path.iterdir()) == []
    assert max(heard.bytes) < big.size + 2_000_000


def test_the_second_place_is_tried_when_the_first_gives_the_wrong_file(
    serve_index, big, settings, tmp_path, heard, tiny
) -> None:
    wrong, right = serve_index(), serve_index()
    wrong.with_hashes = False
    wrong.files, right.files = {big.file: b"?"}, dict(tiny.files)
    both = replace(settings, indexes=(f"{wrong.url}/simple", f"{right.url}/simple"))
    assert fetch(big, tmp_path, Web(both), heard).read_bytes() == tiny.files[big.file]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_at_once(ready, big, settings, tmp_path: Path, heard, status: int) -> None:
    ready.status = status
    with pytest.raises(PackDownloadFailed, match=f"answers {status}"):
        fetch(big, tmp_path, Web(settings), heard)
    assert len(ready.requests) == 2


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again_and_then_given_up(
    ready, big, settings, tmp_path: Path, heard, status
) -> None:
    ready.status = status
    with pytest.raises(PackDownloadFailed, match=f"answers {status}"):
        fetch(big, tmp_path, Web(settings), heard)
    assert ready.paths().count(f"/files/{big.file}") == 1 + settings.retries


def test_a_download_that_stalls_is_given_up_within_the_time_limit(ready, big, settings, tmp_path: Path, heard) -> None:
    ready.block_bytes, ready.pause_s, ready.ranges = 1_000_000, 20.0, False
    start = time.monotonic()
    with pytest.raises(PackDownloadFailed, match=r"nothing came for the time limit after \d.0 of 3.0 MB"):
        fetch(big, tmp_path, Web(replace(settings, timeout_s=1.0)), heard)
    assert time.monotonic() - start < 10


def test_a_trickle_is_not_waited_for(ready, big, settings, tmp_path: Path, heard, monkeypatch) -> None:
    monkeypatch.setattr(artifacts, "_MINUTE_S", 0.2)
    ready.block_bytes, ready.pause_s = 100, 0.05
    start = time.monotonic()
    with pytest.raises(PackDownloadFailed, match="less than 64 KB came in a minute"):
        fetch(big, tmp_path, Web(settings), heard)
    assert time.monotonic() - start < 10


def test_too_little_room_is_told_before_anything_is_fetched(
    ready, big, settings, tmp_path: Path, heard, monkeypatch
) -> None:
    usage = artifacts.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(artifacts.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(
        PackDownloadFailed, match=r"the disk is full: .*big-2.0.tar.gz.part .*3 MB needed, 1 MB free.*LIKENESS_HOME"
    ):
        fetch(big, tmp_path, Web(settings), heard)
    assert ready.paths() == ["/simple/big/"]


def test_a_redirect_to_a_file_host_is_followed(serve_index, big, settings, tmp_path: Path, heard, tiny) -> None:
    front, back = serve_index(), serve_index()
    front.files, front.redirect_to, back.files = dict(tiny.files), back.url, dict(tiny.files)
    part_of(tmp_path, big).write_bytes(tiny.files[big.file][:77])
    one = replace(settings, indexes=(f"{front.url}/simple",))
    assert fetch(big, tmp_path, Web(one), heard).read_bytes() == tiny.files[big.file]
    assert back.requests[0][1]["range"] == "bytes=77-"


def test_a_file_in_a_find_links_folder_is_used_where_it_lies(tiny, big, settings, tmp_path: Path, heard) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / big.file).write_bytes(tiny.files[big.file])
    local = replace(settings, indexes=(), find_links=(str(wheels),))
    assert fetch(big, tmp_path / "downloads", Web(local), heard) == wheels / big.file
    (wheels / big.file).write_bytes(b"?")
    with pytest.raises(PackDamaged, match=r"wheels/big-2.0.tar.gz is not the published file"):
        fetch(big, tmp_path / "downloads", Web(local), heard)
