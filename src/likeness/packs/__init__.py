"""Model packs: manifests, installation and loading."""

from likeness.packs.installation import ensure, install, remove
from likeness.packs.loaded import LoadedPack, is_available, load
from likeness.packs.samples import samples

__all__ = ["LoadedPack", "ensure", "install", "is_available", "load", "remove", "samples"]
