"""What follows the answer of the engine in this process: notes about the photos, `--overlay`, `--explain`."""

import os
import sys
from typing import Any

from likeness.cli.failures import OptionError
from likeness.faces import Comparison

DEFAULT_THRESHOLD = 80.0


class Review:
    """Keeps the comparison with its photos (an observer of `inprocess.client`) until the answer has been printed."""

    def __init__(self, *, overlay: str | None, explain: bool, threshold: Any) -> None:
        """Raises OptionError for an overlay that cannot be written."""
        self._overlay = overlay
        self._explain = explain
        self._threshold = DEFAULT_THRESHOLD if threshold is None else float(threshold)
        self._seen: tuple[Comparison, bytes, bytes] | None = None
        if overlay is not None:
            _check_writable(overlay)

    def __call__(self, comparison: Comparison, source: bytes, target: bytes) -> None:
        self._seen = (comparison, source, target)

    def finish(self) -> None:
        """Write notes and the explanation to standard error and the overlay to its file."""
        if self._seen is None:
            return
        comparison, source, target = self._seen
        for note in comparison.trace.notes:
            print(f"likeness: {note}", file=sys.stderr)


def _check_writable(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OptionError("--overlay", f"there is no folder {folder}")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise OptionError("--overlay", f"{path} cannot be written")
