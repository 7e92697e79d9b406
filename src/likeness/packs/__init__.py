"""Model packs: what they are, where they come from, how they load."""

from likeness.packs.loaded import LoadedPack, load
from likeness.packs.samples import samples
from likeness.packs.store import ensure, install, remove

__all__ = ["LoadedPack", "ensure", "install", "load", "remove", "samples"]
