"""The engine as the server sees it."""

from typing import Protocol

from likeness import faces


class Compares(faces.Compares, Protocol):
    """What the server needs of a Comparer, besides its `compare`; several threads use it at once."""

    @property
    def pack_identity(self) -> str:
        """See `likeness.comparer.Comparer.pack_identity`."""
        ...

    def warm_up(self) -> None:
        """Loads what the first comparison would load."""
        ...

    def close(self) -> None:
        """Frees its resources."""
        ...
