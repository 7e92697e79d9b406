"""The cache folder: finding and checking installed packs.

    LIKENESS_HOME/             default: the platform's cache folder
      packs/NAME-DIGEST/       an installed pack: manifest.toml, ONNX files
      downloads/NAME/          distribution files during a download; deleted after the installation
      locks/                   one lock per pack
      optimised/               networks optimised by ONNX Runtime for this processor; can be deleted at any time

DIGEST is that of the catalogue's text, so that each version of Likeness finds its own pack; files that versions or
packs share are one file on disk (hard links). A pack's folder is renamed into place, so that it is complete or absent.
"""

import os
import sys
from pathlib import Path

from likeness.errors import PackDamaged, PackError, PackInvalid
from likeness.packs.integrity import sha256_of
from likeness.packs.manifest import MANIFEST_NAME, Manifest, PackFile, parse_manifest, read_manifest

CATALOGUE = Path(__file__).with_name("catalogue")
_DIGEST_DIGITS = 12
_DIGEST_PATTERN = "[0-9a-f]" * _DIGEST_DIGITS


def home() -> Path:
    """The cache folder: LIKENESS_HOME, or the platform's (on Linux ~/.cache/likeness).

    Raises PackError if there is neither, for a user without a home directory, such as an arbitrary id in a container.
    """
    chosen = os.environ.get("LIKENESS_HOME")
    try:
        return Path(chosen).expanduser().absolute() if chosen else _platform_cache() / "likeness"
    except RuntimeError as error:
        named = f"LIKENESS_HOME = {chosen!r}, but there is no such home folder" if chosen else "this user has no home"
        raise PackError(f"{named}; set LIKENESS_HOME to the folder for the packs") from error


def _platform_cache() -> Path:
    """The platform's cache folder by the XDG base directory specification or Apple's or Microsoft's guidelines."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"


def offline() -> bool:
    """Whether LIKENESS_OFFLINE forbids the network."""
    return os.environ.get("LIKENESS_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def catalogue() -> dict[str, Manifest]:
    """The packs that Likeness knows, by name."""
    return {path.stem: known(path.stem) for path in sorted(CATALOGUE.glob("*.toml"))}


def known(name: str) -> Manifest:
    """The catalogue's description of the pack `name`; PackInvalid if there is none."""
    path = CATALOGUE / f"{name}.toml"
    if not name.replace("-", "").isalnum() or not path.is_file():
        names = ", ".join(sorted(path.stem for path in CATALOGUE.glob("*.toml")))
        raise PackInvalid(
            f"there is no pack {name!r}; known are {names}, and any folder with a {MANIFEST_NAME} given as a path"
        )
    return parse_manifest(path.read_bytes(), described_as=str(path))


def folder_of(entry: Manifest) -> Path:
    """The folder in which the pack of a catalogue entry is, or will be, installed."""
    return home() / "packs" / f"{entry.name}-{entry.sha256[:_DIGEST_DIGITS]}"


def is_installed(entry: Manifest) -> bool:
    """Whether exactly this version of the pack is in the cache folder."""
    # Unlike Path.is_file, False also for a cache folder that cannot be entered: its installation says what to do.
    return os.path.isfile(folder_of(entry) / MANIFEST_NAME)


def installed_versions(name: str = "[a-z0-9]*") -> list[Path]:
    """The folders of all versions of the pack `name`, or of all packs, in the cache folder."""
    return sorted((home() / "packs").glob(f"{name}-{_DIGEST_PATTERN}"))


def downloads(name: str) -> Path:
    """The folder for downloads of the pack `name`."""
    return home() / "downloads" / name


def optimised_folder() -> Path:
    """The folder for networks optimised by ONNX Runtime."""
    return home() / "optimised"


def damages(folder: Path) -> list[PackError]:
    """The damages of an installed pack, found by reading all of its files; empty if there are none."""
    try:
        manifest = read_manifest(folder)
    except PackInvalid as error:
        return [error]
    found = [damage(folder, file) for file in manifest.files.values()]
    return [error for error in found if error is not None]


def damage(folder: Path, file: PackFile) -> PackDamaged | None:
    """The damage of `file` of the pack in `folder`, None if there is none."""
    try:
        check_file(folder, file)
    except PackDamaged as error:
        return error
    return None


def check_file(folder: Path, file: PackFile) -> None:
    """PackDamaged unless `file` of the pack in `folder` has the size and SHA-256 of its manifest."""
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
    """The command that repairs the pack in `folder`."""
    if folder.parent == home() / "packs":
        return f"run: likeness packs install {folder.name.rpartition('-')[0]}"
    return "copy the pack again from its source"
