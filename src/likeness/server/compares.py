"""The engine as the server sees it."""

from typing import Protocol

from likeness.faces import Comparison, QualityFilter


class Compares(Protocol):
    """The methods of a Comparer that the server needs; several threads call them at once."""

    def compare(
        self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: QualityFilter
    ) -> Comparison:
        """See `likeness.comparer.Comparer.compare`."""
        ...

    def warm_up(self) -> None:
        """Loads what the first comparison would load."""
        ...

    def close(self) -> None:
        """Frees its resources."""
        ...
