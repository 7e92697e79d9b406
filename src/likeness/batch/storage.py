"""The storage of a run or a cluster: named blobs in a folder or in S3, each complete or absent."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from likeness.batch.errors import BatchError
from likeness.system.atomic_file import atomic_file


class Storage(Protocol):
    """Blobs by name; a name is a path below the root."""

    def names(self, folder: str) -> set[str]:
        """The names of the blobs in a folder, without the folder."""
        ...

    def write(self, name: str, content: Iterable[bytes]) -> None:
        """Writes a blob from its pieces; until then, readers see the old one or none."""
        ...

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """The bytes of a blob, or `size` bytes from `start` on."""
        ...

    def remove(self, folder: str) -> None:
        """Removes all blobs of a folder."""
        ...


class FolderStorage:
    """A folder with the same path on all nodes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> set[str]:
        place = self._root / folder
        return {path.name for path in place.iterdir() if not path.name.startswith(".")} if place.is_dir() else set()

    def write(self, name: str, content: Iterable[bytes]) -> None:
        path = self._root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.writelines(content)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        with (self._root / name).open("rb") as file:
            file.seek(start)
            return file.read(-1 if size is None else size)

    def remove(self, folder: str) -> None:
        shutil.rmtree(self._root / folder, ignore_errors=True)


class ObjectStorage:
    """Objects in S3 below a prefix, by Arrow's filesystem; an object exists once it is completely uploaded."""

    def __init__(self, files: Any, root: str) -> None:
        self._files = files
        self._root = root.rstrip("/")

    def names(self, folder: str) -> set[str]:
        from pyarrow.fs import FileSelector

        found = self._files.get_file_info(FileSelector(f"{self._root}/{folder}", allow_not_found=True))
        return {each.base_name for each in found if each.is_file}

    def write(self, name: str, content: Iterable[bytes]) -> None:
        complete = b"".join(content)  # closing the stream creates the object, even an incomplete one
        try:
            with self._files.open_output_stream(f"{self._root}/{name}") as stream:
                stream.write(complete)
        except OSError as error:
            raise BatchError(f"the shared place s3://{self._root} cannot be written to: {error}") from error

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        with self._files.open_input_file(f"{self._root}/{name}") as file:
            content: bytes = file.read_at(file.size() - start if size is None else size, start)
            return content

    def remove(self, folder: str) -> None:
        if self.names(folder):
            self._files.delete_dir(f"{self._root}/{folder}")


def open_storage(place: str) -> Storage:
    """The storage at a path, or at an `s3://bucket/prefix` URL. Raises BatchError."""
    if not place.startswith("s3://"):
        return FolderStorage(Path(place))
    import os

    try:
        from pyarrow.fs import S3FileSystem
    except ImportError as error:
        raise BatchError("shared storage in S3 needs pyarrow: pip install 'likeness[ray]'") from error
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    scheme, _, host = endpoint.partition("://") if endpoint else ("https", "", None)
    return ObjectStorage(S3FileSystem(endpoint_override=host, scheme=scheme), place.removeprefix("s3://"))
