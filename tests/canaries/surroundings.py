"""Where a process may leave something: files, its entries in /proc, memory that is a file."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: Shared memory is mostly zeros; a photo in it is at its beginning.
_MOST_OF_A_FILE = 64 * 1024 * 1024


def processes(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += processes(int(child))
    return found


def decoders(pid: int) -> list[int]:
    """The decoder processes of a server that run."""
    return [each for each in processes(pid) if _status(each).startswith("(likeness-decode) ") and not has_ended(each)]


def _status(pid: int) -> str:
    """Name, state and so on, "" where there is no such process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().partition(" ")[2]
    return ""


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or only what its parent has not asked for yet."""
    return _status(pid).rpartition(") ")[2][:1] in ("", "Z", "X")


def told_by_proc(pid: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of what /proc lets us read of a process, but for its memory."""
    folder = Path(f"/proc/{pid}")
    for name in ("cmdline", "environ", "comm", "status", "wchan", "maps"):
        with suppress(OSError):
            yield f"{pid}/{name}", (folder / name).read_bytes()
    for task in _entries(folder / "task"):
        with suppress(OSError):
            yield f"{pid}/task/comm", (task / "comm").read_bytes()
    for descriptor in _entries(folder / "fd"):
        with suppress(OSError):
            target = os.readlink(descriptor)
            yield f"{pid}/fd", target.encode()
            if target.endswith(" (deleted)"):  # files that nobody else sees, and memory that is a file
                yield f"{pid}/fd {target}", _content(descriptor)


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_OF_A_FILE).strip(b"\0")


def files_below(folder: Path, since: int = 0) -> dict[str, bytes]:
    """The contents of all files, and their names, by path; of those changed `since` (`time.time_ns()`)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # a process that runs removes files
            if path.is_file() and path.stat().st_mtime_ns >= since:
                found[str(path)] = path.name.encode() + b"\n" + path.read_bytes()
    return found


def shared_memory(since: int) -> dict[str, bytes]:
    """The contents of memory that has a name and was changed `since` (`time.time_ns()`), as far as we may read it."""
    found = {}
    for path in _entries(Path("/dev/shm")):
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime_ns >= since:
                found[str(path)] = path.name.encode() + b"\n" + _content(path)
    return found
