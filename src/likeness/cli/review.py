"""Additional output for answers of the engine in this process: notes about the photos, `--explain`, `--overlay`.

It goes to standard error or to the given file, so that standard output holds only the answer.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.cli.failures import OptionError
from likeness.cli.streams import say
from likeness.system.atomic_file import check_not_input, check_writable

if TYPE_CHECKING:
    from likeness.inprocess import Observation

DEFAULT_THRESHOLD = 80.0


class Review:
    """Keeps the comparison with its photos (an observer of `inprocess.client`) until the answer has been printed."""

    def __init__(self, *, overlay: str | None, explain: bool, threshold: Any, files: Iterable[Path] = ()) -> None:
        """`files` are those that the command has read. Raises OptionError if the overlay cannot be written, or would
        replace one of them.
        """
        self._overlay = overlay
        self._explain = explain
        self._threshold = DEFAULT_THRESHOLD if threshold is None else threshold
        self._seen: Observation | None = None
        if overlay is not None:
            try:
                check_writable(Path(overlay))
                check_not_input(Path(overlay), files)
            except OSError as error:
                raise OptionError("--overlay", f"{overlay}: {error.strerror}") from error

    def __call__(self, observation: "Observation") -> None:
        self._seen = observation

    def finish(self) -> None:
        """Writes notes and the explanation to standard error and the overlay to its file.

        Raises `likeness.overlay.OverlayNotWritten`.
        """
        if self._seen is None:
            return
        for note in self._seen.comparison.trace.notes:
            say(f"likeness: {note}")
        if not self._seen.comparison.calibrated:
            from likeness.calibrated import UNCALIBRATED

            say(f"likeness: {UNCALIBRATED}")
        if self._explain:
            say(_explanation(self._seen, self._threshold))
        if self._overlay is not None:
            from likeness.overlay import write_overlay

            write_overlay(self._overlay, self._seen.source, self._seen.target, self._seen.comparison)
            say(f"likeness: wrote {self._overlay}")


def _explanation(seen: "Observation", threshold: float) -> str:
    from likeness.cli.explain import Photo, explain
    from likeness.image import open_image

    def photo(name: str, data: bytes) -> Photo:
        image = open_image(data, name=name)
        return Photo(name, image.width, image.height)

    calibration = getattr(seen.comparer, "calibration", None)
    return explain(
        seen.comparison,
        photo("source photo", seen.source),
        photo("target photo", seen.target),
        threshold=threshold,
        claims=None if calibration is None else calibration.claim,
    )
