"""Model packs: what they are, where they come from, how they load."""

from likeness.packs.installation import ensure, install, remove
from likeness.packs.loaded import LoadedPack, is_at_hand, load
from likeness.packs.samples import samples

__all__ = ["LoadedPack", "ensure", "install", "is_at_hand", "load", "remove", "samples"]
