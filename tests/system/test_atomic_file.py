"""Files are replaced atomically; devices, pipes and links keep their place."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.system.atomic_file import atomic_file, check_not_input, check_writable, remove_parts, write_atomically


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


def test_a_link_is_as_writable_as_the_place_that_it_leads_to(tmp_path: Path) -> None:
    links = {name: tmp_path / name for name in ("loop", "astray", "new")}
    links["loop"].symlink_to(links["loop"])
    links["astray"].symlink_to(tmp_path / "none" / "results")
    links["new"].symlink_to(tmp_path / "results")
    check_writable(links["new"])
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        check_writable(links["loop"])
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path}/none"):
        check_writable(links["astray"])


def test_an_output_is_no_input_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, other, link, second = (tmp_path / name for name in ("table", "other", "link", "second"))
    for path in (table, other):
        path.touch()
    link.symlink_to(table)
    second.hardlink_to(table)
    monkeypatch.chdir(tmp_path)
    for output in (table, Path("table"), Path("./table"), link, second):
        with pytest.raises(FileExistsError, match="the command already uses this file"):
            check_not_input(output, [other, table])
    check_not_input(tmp_path / "new", [table, other])
    with pytest.raises(FileExistsError, match="already uses"):
        check_not_input(tmp_path / "new", [Path("new")])
    for device in (Path(os.devnull), pipe(tmp_path)):
        check_not_input(device, [device])


def test_unfinished_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".results.1-2.part").touch()
    (tmp_path / "results").touch()
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "results"]
