"""Files are replaced atomically; devices, pipes and links keep their place."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.system.atomic_file import atomic_file, check_writable, remove_parts, write_atomically


def test_a_file_is_replaced_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("old")
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("old")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.writelines([b"new", None])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def link_to_a_pipe(folder: Path) -> Path:
    (folder / "link").symlink_to(pipe(folder))
    return folder / "link"


@pytest.mark.parametrize("made", [pipe, link_to_a_pipe])
def test_devices_and_pipes_are_written_to_directly(made: Callable[[Path], Path], tmp_path: Path) -> None:
    """As with /dev/null, which root could replace by a file for everybody."""
    path = made(tmp_path)
    with ThreadPoolExecutor() as threads:
        read = threads.submit(path.read_bytes)
        write_atomically(path, b"results")
        assert read.result() == b"results"
    assert path.is_fifo()


def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    path, link = tmp_path / "results", tmp_path / "link"
    link.symlink_to(path)
    for content in (b"first", b"second"):
        write_atomically(link, content, mode=0o666)
        assert link.is_symlink()
        assert path.read_bytes() == content


def test_an_unwritable_path_is_reported_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    check_writable(pipe(tmp_path))
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path}/none"):
        check_writable(tmp_path / "none" / "results")
    with pytest.raises(NotADirectoryError):
        write_atomically(tmp_path / "pipe" / "results", b"")


def test_unfinished_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".results.1-2.part").touch()
    (tmp_path / "results").touch()
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "results"]
