"""The installation of a pack: download, verify, convert, and rename into place."""

import copy
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.errors import PackInvalid
from likeness.packs import store
from likeness.packs.integrity import disk_errors, sha256_of
from likeness.packs.manifest import MANIFEST_NAME, Manifest, PackFile, parse_manifest, read_manifest
from likeness.packs.progress import LoggedProgress, Progress, automatic_installation
from likeness.packs.published import check_accepted, check_asked_for
from likeness.packs.store import damage, folder_of, home, installed_versions
from likeness.packs.tables import to_toml
from likeness.system.atomic_file import sync_folder, write_atomically
from likeness.system.locking import one_at_a_time

if TYPE_CHECKING:
    from likeness.packs.originals import Originals


def ensure(name: str, *, progress: Progress | None = None) -> Path:
    """The folder of the pack `name`, which is installed if it is missing.

    LIKENESS_OFFLINE forbids the network. Raises PackInvalid, PackNotInstalled, PackDownloadFailed, PackDamaged.
    """
    entry = store.known(name)
    if not store.is_installed(entry):
        check_asked_for(name, {distribution.index for distribution in entry.distributions.values()})
        return install(name, progress=progress)
    return folder_of(entry)


def install(
    name: str,
    *,
    source_dir: Path | None = None,
    progress: Progress | None = None,
    accept_license: bool = False,
) -> Path:
    """Installs the pack `name` of the catalogue, unless it is installed and undamaged; returns its folder.

    `source_dir` is a folder with the distribution files (air-gapped). A pack whose licence restricts its use is
    installed only with `accept_license`. Of several processes one installs, the others
    wait. Raises PackInvalid, PackNotInstalled if something is missing and must not be downloaded, PackDownloadFailed,
    PackDamaged.
    """
    if progress is None:
        with automatic_installation() as listening:
            return install(name, source_dir=source_dir, progress=listening, accept_license=accept_license)
    entry = store.known(name)
    check_accepted(name, entry.restriction, accept_license or store.is_installed(entry))
    downloads = store.downloads(name)
    if not _is_intact(entry) or downloads.exists():
        with _locked(name, progress):
            if not _is_intact(entry):
                return Installation(entry, source_dir, progress).run()
            # Left by another process that installed the pack, or that was killed before its clean-up.
            shutil.rmtree(downloads, ignore_errors=True)
    progress.say(f"{name} is installed and undamaged in {folder_of(entry)}")
    return folder_of(entry)


def _is_intact(entry: Manifest) -> bool:
    return store.is_installed(entry) and not store.damages(folder_of(entry))


def remove(name: str) -> list[Path]:
    """Removes all installed versions of the pack `name`, with their downloads and optimised networks.

    Returns the removed folders. PackInvalid if the pack is not in the catalogue.
    """
    store.known(name)
    folders = installed_versions(name)
    with _locked(name, LoggedProgress()), disk_errors(home()):
        for folder in folders:
            # Renamed first, so that no process finds a partial pack.
            renamed = folder.with_name(f".{folder.name}.removed")
            _remove_optimised(folder)
            os.replace(folder, renamed)
            shutil.rmtree(renamed)
        shutil.rmtree(store.downloads(name), ignore_errors=True)
    return folders


def _remove_optimised(folder: Path) -> None:
    try:
        hashes = [file.sha256 for file in read_manifest(folder).files.values()]
    except PackInvalid:
        return
    for sha256 in hashes:
        for path in store.optimised_folder().glob(f"{sha256[:24]}-*"):
            path.unlink(missing_ok=True)


@contextmanager
def _locked(name: str, progress: Progress) -> Iterator[None]:
    """Excludes other processes from installing or removing the pack `name`; waits for them.

    The lock is the operating system's on an open file, which is released when the process ends.
    """
    path = home() / "locks" / f"{name}.lock"
    waiting = f"another process installs or removes the pack {name}; waiting for it"
    with ExitStack() as held:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(one_at_a_time(path, waiting=lambda: progress.say(waiting)))
        yield


@dataclass
class Installation:
    """The installation of a catalogue entry; run it while holding the pack's lock."""

    entry: Manifest
    source_dir: Path | None
    progress: Progress

    def run(self) -> Path:
        """Installs the pack and returns its folder; PackNotInstalled, PackDownloadFailed, PackDamaged."""
        target = folder_of(self.entry)
        # Imported here: installed packs need no HTTP client, archives or converters.
        from likeness.packs.originals import Originals

        originals = Originals(self.entry, self.source_dir, self.progress, may_fetch=not store.offline())
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(target.parent)
            temporary = target.with_name(f".{self.entry.name}-new")
            try:
                temporary.mkdir()
                self._fill(temporary, originals)
                self._put_in_place(temporary, target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        originals.clean()
        size_mb = sum(path.stat().st_size for path in target.iterdir()) / 1e6
        self.progress.say(f"installed {self.entry.name} in {target} ({size_mb:.0f} MB)")
        return target

    def _remove_leftovers(self, folder: Path) -> None:
        """Removes leftovers of killed installations of this pack; as the lock is held, none is running."""
        for leftover in folder.glob(f".{self.entry.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _fill(self, folder: Path, originals: "Originals") -> None:
        table: dict[str, Any] = copy.deepcopy(dict(self.entry.table))
        wanted = [file for file in self.entry.files.values() if not self._reuse(file, folder / file.name)]
        originals.check_obtainable(wanted)
        if wanted:
            self.progress.say(f"installing the pack {self.entry.name} in {folder_of(self.entry)}")
        originals.obtain(wanted)
        for file in wanted:
            write_atomically(folder / file.name, originals.converted(file), mode=0o666)
            if file.sha256 and sha256_of(folder / file.name) != file.sha256:
                # The original is verified; other versions of the libraries may encode the same network differently.
                self.progress.say(f"{file.name} differs in its bytes from the catalogue's; its original is the same")
        for name, row in table["files"].items():
            row["sha256"], row["size"] = sha256_of(folder / name), (folder / name).stat().st_size
        if "calibration" in table:
            table["calibration"] |= parse_manifest(to_toml(table).encode(), described_as=str(folder)).score_identity
        write_atomically(folder / MANIFEST_NAME, to_toml(table).encode(), mode=0o666)
        read_manifest(folder)

    def _reuse(self, file: PackFile, path: Path) -> bool:
        """Links the same, undamaged file of another installed pack or version, if there is one."""
        own = installed_versions(self.entry.name)
        for folder in [*own, *(folder for folder in installed_versions() if folder not in own)]:
            if damage(folder, file):
                continue
            try:
                os.link(folder / file.name, path)
            except OSError:
                shutil.copyfile(folder / file.name, path)
            return True
        return False

    def _put_in_place(self, temporary: Path, target: Path) -> None:
        damaged = temporary.with_name(f"{temporary.name}.old")
        if target.exists():
            # Only a damaged pack is replaced. Processes keep the files that they have open.
            os.replace(target, damaged)
        os.replace(temporary, target)
        sync_folder(target.parent)
        shutil.rmtree(damaged, ignore_errors=True)
