"""Small files for targets that read files by name."""

import os
import tempfile
from functools import cache
from pathlib import Path


def in_memory() -> str | None:
    """Where targets write their small files: on a disk that others use too, that would take most of the time."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@cache
def folder() -> Path:
    """A folder for this process, in the folder for temporary files that `fuzz.run` or `fuzz.worker` removes."""
    return Path(tempfile.mkdtemp(prefix="likeness-fuzz-"))


def file_of(data: bytes, name: str) -> Path:
    """A file, readable by its owner only, with this content; replaces the one before."""
    path = folder() / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
    return path
