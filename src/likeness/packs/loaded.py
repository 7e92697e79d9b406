"""An installed pack: its manifest and its networks, each loaded on first use."""

import os
import threading
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged, PackInvalid
from likeness.packs.arrays import read_array
from likeness.packs.installation import ensure
from likeness.packs.manifest import MANIFEST_NAME, Manifest, read_manifest
from likeness.packs.store import check_file, is_installed, known, optimised_folder, remedy
from likeness.system.processors import thread_budget

if TYPE_CHECKING:
    from likeness.runtime.devices import Device
    from likeness.runtime.sessions import OnnxNetwork


class LoadedPack:
    """A pack's manifest and networks. Networks are checked and opened on first use, once for all threads."""

    def __init__(self, manifest: Manifest, *, threads: int, device: "Device" = "cpu") -> None:
        self.manifest = manifest
        self.threads = threads
        self.device = device
        self._networks: dict[str, OnnxNetwork] = {}
        self._locks = {role: threading.Lock() for role in manifest.roles}

    def has(self, role: str) -> bool:
        """Whether the pack has `role` ("detector", "embedder", "mesh", "expression")."""
        return role in self.manifest.roles

    def network(self, role: str) -> "OnnxNetwork":
        """The network of `role`. Raises PackInvalid, PackDamaged, SettingsError."""
        file = self.manifest.files[self.manifest.role(role).file]
        with self._locks[role]:
            if role not in self._networks:
                from likeness.runtime.sessions import Runtime

                path = self.manifest.path(file.name)
                check_file(path.parent, file)
                runtime = Runtime(
                    threads=self.threads,
                    device=self.device,
                    optimised=optimised_folder(),
                    one_size=role != "detector",
                )
                self._networks[role] = runtime.open(path, file.sha256, role)
            return self._networks[role]

    def array(self, file: str) -> NDArray[np.float32]:
        """The array in the pack's data file `file` (.npy), as float32; PackDamaged if it differs from the manifest."""
        path = self.manifest.path(file)
        check_file(path.parent, self.manifest.files[file])
        try:
            return read_array(path)
        except ValueError as error:
            raise PackDamaged(f"{path} is not an array of numbers ({error}); {remedy(path.parent)}") from error


def load(
    pack: str | PathLike[str] = "standard",
    *,
    threads: int | None = None,
    device: "Device" = "cpu",
) -> LoadedPack:
    """The pack `pack`: a name of the catalogue (installed if it is missing) or the path of a folder with a manifest.

    `threads` are those of one call of a network, by default all that the process may use. Raises PackInvalid,
    PackNotInstalled, PackDownloadFailed, PackDamaged.
    """
    folder = pack_folder(pack)
    try:
        manifest = read_manifest(folder)
    except PackInvalid as error:
        if _given_by_path(pack):  # the user's own, who can mend it
            raise
        raise PackInvalid(f"{error}; {remedy(folder)}") from error
    return LoadedPack(manifest, threads=threads or thread_budget(), device=device)


def pack_folder(pack: str | PathLike[str]) -> Path:
    """The folder of a pack given by name or path; one given by name is installed if it is missing."""
    return _given_by_path(pack) or ensure(os.fspath(pack))


def is_available(pack: str | PathLike[str]) -> bool:
    """Whether `load` finds the pack without installing anything; PackInvalid for an unknown name."""
    path = _given_by_path(pack)
    return is_installed(known(os.fspath(pack))) if path is None else (path / MANIFEST_NAME).is_file()


def _given_by_path(pack: str | PathLike[str]) -> Path | None:
    """The folder if `pack` is a path; None if it is a name."""
    given = os.fspath(pack)
    if (
        isinstance(pack, PathLike)
        or os.sep in given
        or given.startswith((".", "~"))
        or (Path(given) / MANIFEST_NAME).is_file()
    ):
        return Path(os.path.expanduser(given)).absolute()
    return None
