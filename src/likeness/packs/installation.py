"""The installation of a pack: fetch, verify, convert, and one renaming that makes it appear."""

import copy
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.errors import PackDamaged, PackDownloadFailed, PackInvalid, PackNotInstalled
from likeness.locking import one_at_a_time
from likeness.packs import store
from likeness.packs.archives import read_member
from likeness.packs.artifacts import fetch, fetch_url
from likeness.packs.integrity import check_sha256, disk_errors, sha256_of
from likeness.packs.manifest import MANIFEST_NAME, Distribution, Manifest, PackFile, Source, read_manifest
from likeness.packs.npm_settings import read_npm_settings
from likeness.packs.pip_settings import read_pip_settings
from likeness.packs.progress import Progress
from likeness.packs.store import damage, folder_of, home, installed_packs, installed_versions
from likeness.packs.tables import to_toml
from likeness.packs.web import Web


@contextmanager
def locked(name: str, progress: Progress) -> Iterator[None]:
    """Keeps every other process from installing or removing the pack `name`; waits for one that does.

    The lock is the operating system's on an open file: it is gone with its process, however that ends.
    """
    path = home() / "locks" / f"{name}.lock"
    waiting = f"another process is at work on the pack {name}; waiting for it"
    with ExitStack() as held:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(one_at_a_time(path, waiting=lambda: progress.say(waiting)))
        yield


@dataclass
class Installation:
    """One installation of a catalogue entry, to be run under the pack's lock."""

    entry: Manifest
    source_dir: Path | None
    progress: Progress
    may_fetch: bool

    def run(self) -> Path:
        """Installs the pack and returns its folder; PackNotInstalled, PackDownloadFailed, PackDamaged."""
        target = folder_of(self.entry)
        originals = _Originals(self.entry, self.source_dir, self.progress, self.may_fetch)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(target.parent)
            temporary = Path(tempfile.mkdtemp(prefix=f".{self.entry.name}-", dir=target.parent))
            try:
                self._fill(temporary, originals)
                self._put_in_place(temporary, target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        originals.clean()
        size_mb = sum(path.stat().st_size for path in target.iterdir()) / 1e6
        self.progress.say(f"installed {self.entry.name} in {target} ({size_mb:.0f} MB)")
        return target

    def _remove_leftovers(self, folder: Path) -> None:
        """What killed installations of this pack left behind; none is running, since the lock is ours."""
        for leftover in folder.glob(f".{self.entry.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _fill(self, folder: Path, originals: "_Originals") -> None:
        table: dict[str, Any] = copy.deepcopy(dict(self.entry.table))
        wanted = [file for file in self.entry.files.values() if not self._reuse(file, folder / file.name)]
        # The user who reaches only Python's index learns it at once, not after everything else has been fetched.
        wanted.sort(key=self._comes_from_python)
        originals.check_obtainable(wanted)
        if wanted:
            self.progress.say(f"installing the pack {self.entry.name} in {folder_of(self.entry)}")
        for file in wanted:
            _write_synced(folder / file.name, originals.converted(file))
            if file.sha256 and sha256_of(folder / file.name) != file.sha256:
                # The original is verified; libraries of other versions may write the same network in other bytes.
                self.progress.say(f"{file.name} is written in other bytes than the catalogue's, from the same original")
        for name, row in table["files"].items():
            row["sha256"], row["size"] = sha256_of(folder / name), (folder / name).stat().st_size
        _write_synced(folder / MANIFEST_NAME, to_toml(table).encode())
        read_manifest(folder)
        # mkdtemp makes it private; a pack in a shared cache folder is for everyone whom the umask allows.
        folder.chmod(0o777 & ~_umask())
        _sync_folder(folder)

    def _comes_from_python(self, file: PackFile) -> bool:
        id = file.source.distribution if file.source else ""
        return not id or self.entry.distributions[id].index == "python"

    def _reuse(self, file: PackFile, path: Path) -> bool:
        """Links the same file of an installed version of this pack, or of another, if there is one that is whole."""
        own = installed_versions(self.entry.name)
        for folder in [*own, *(folder for folder in installed_packs() if folder not in own)]:
            same = file if file.sha256 else _same_source(folder, file)
            if same is None or damage(folder, same):
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
            # Only a damaged pack is replaced. Whoever has one of its files open keeps it.
            os.replace(target, damaged)
        os.replace(temporary, target)
        _sync_folder(target.parent)
        shutil.rmtree(damaged, ignore_errors=True)


def _same_source(folder: Path, file: PackFile) -> PackFile | None:
    """The file of the installed pack in `folder` that was made from the same original in the same way."""
    try:
        other = read_manifest(folder).files.get(file.name)
    except PackInvalid:
        return None
    return other if other and other.source == file.source else None


@dataclass
class _Originals:
    """The original files that a pack is made of, each distribution fetched once."""

    entry: Manifest
    source_dir: Path | None
    progress: Progress
    may_fetch: bool

    def __post_init__(self) -> None:
        if self.source_dir is not None and not self.source_dir.is_dir():
            raise PackDownloadFailed(f"{self.source_dir} is not a folder; --from takes the folder that holds the files")
        self._archives: dict[str, Path] = {}
        self._web: Web | None = None

    def check_obtainable(self, files: list[PackFile]) -> None:
        """PackNotInstalled that names everything out of reach at once, before any work is done."""
        sources = [(file, _source(file)) for file in files]
        own = {s.file: f for f, s in sources if s.file}
        if self.source_dir is None:
            if own:
                raise PackNotInstalled(
                    f"the pack {self.entry.name} needs files from their publishers: "
                    f"{', '.join(f'{name} ({file.origin})' for name, file in own.items())}; put them into a folder and "
                    f"run: likeness packs install {self.entry.name} --from DIR"
                )
            if not self.may_fetch and any(s.distribution or s.url for _, s in sources):
                raise PackNotInstalled(_forbidden(self.entry))
            return
        published = {self.entry.distributions[s.distribution].file for _, s in sources if s.distribution}
        published |= {_name(s.url) for _, s in sources if s.url}
        missing = sorted(name for name in {*own, *published} if not (self.source_dir / name).is_file())
        if missing:
            raise PackNotInstalled(
                f"{self.source_dir} lacks {', '.join(missing)}; --from takes exactly these files, without the network"
            )

    def converted(self, file: PackFile) -> bytes:
        """The file's content as the pack keeps it: the verified original, converted where the manifest says so."""
        source = _source(file)
        if source.distribution:
            distribution = self.entry.distributions[source.distribution]
            data = read_member(self._archive(distribution), source.path, source.sha256)
        elif source.url:
            distribution = Distribution(source.url, "", "", _name(source.url), source.sha256, source.size)
            data = self._archive(distribution).read_bytes()
        else:
            data = self._own_file(source)
        if not source.converter:
            return data
        self.progress.say(f"converting {_name(source.path) or source.file or _name(source.url)} to {file.name}")
        return converter(source.converter)(data)

    def clean(self) -> None:
        """Deletes what was fetched; the folder that the user gave is left as it is."""
        shutil.rmtree(self._downloads, ignore_errors=True)

    @property
    def _downloads(self) -> Path:
        return home() / "downloads" / self.entry.name

    def _archive(self, distribution: Distribution) -> Path:
        if distribution.id not in self._archives:
            self._archives[distribution.id] = self._obtain(distribution)
        return self._archives[distribution.id]

    def _obtain(self, distribution: Distribution) -> Path:
        if self.source_dir is not None:
            path = self.source_dir / distribution.file
            check_sha256(path, distribution.sha256)
            return path
        self._web = self._web or Web(read_pip_settings(), read_npm_settings())
        if distribution.project:
            return fetch(distribution, self._downloads, self._web, self.progress)
        return fetch_url(distribution.id, distribution, self._downloads, self._web, self.progress)

    def _own_file(self, source: Source) -> bytes:
        folder = store.CATALOGUE if source.bundled else self.source_dir or Path()
        path = folder / (source.bundled or source.file)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != source.sha256:
            raise PackDamaged(f"{path} is not the file that the pack {self.entry.name} needs: expected {source.sha256}")
        return data


def _source(file: PackFile) -> Source:
    if file.source is None:
        raise PackInvalid(f"the catalogue does not say where {file.name} comes from")
    return file.source


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _forbidden(entry: Manifest) -> str:
    """What to say when something must be fetched and may not be."""
    state = "damaged" if folder_of(entry).exists() else "not installed"
    files = ", ".join(
        [distribution.file for distribution in entry.distributions.values()]
        + [_name(file.source.url) for file in entry.files.values() if file.source and file.source.url]
    )
    return (
        f"the pack {entry.name} is {state} in {home()} and LIKENESS_OFFLINE forbids fetching it; run "
        f"`likeness packs install {entry.name}` with a network, or `likeness packs install {entry.name} --from DIR` "
        f"with a folder that holds {files}"
    )


def converter(name: str) -> Callable[[bytes], bytes]:
    """The function that makes ONNX of an original; PackInvalid when there is none of that name."""
    # Imported here: each converter brings the `onnx` package, which only an installation needs.
    match name:
        case "centerface":
            from likeness.packs.convert.centerface import convert_centerface as convert
        case "centerface-8bit":
            from likeness.packs.convert.centerface_8bit import convert_centerface_8bit as convert
        case "yunet":
            from likeness.packs.convert.yunet import convert_yunet as convert
        case "mobilefacenet":
            from likeness.packs.convert.mobilefacenet import convert_mobilefacenet as convert
        case "face-mesh":
            from likeness.packs.convert.tflite import convert_face_mesh as convert
        case "expression":
            from likeness.packs.convert.tflite import convert_expression as convert
        case _:
            raise PackInvalid(f"no converter is called {name!r}")
    return convert


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
