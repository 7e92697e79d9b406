"""Loads the engine in a thread while the command imports botocore and reads its configuration.

Each takes a third of a second. Networks load without the interpreter lock, so on a second processor they are ready when
the photos are. `make bench` prints the cold start of `likeness compare-faces`.
"""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from likeness.cli.connection import chosen_pack, chosen_settings
from likeness.errors import LikenessError

if TYPE_CHECKING:
    from likeness.inprocess import Compares


class PreloadedComparer:
    """A `Comparer` with `pack`, which a thread starts to load at construction."""

    def __init__(self, pack: str, settings: Any = None) -> None:
        self._pack, self._settings = pack, settings
        self._made: Compares | None = None
        self._making = Thread(target=self._make, name="likeness-preload")
        self._making.start()

    def compare(self, source: bytes, target: bytes, **how: Any) -> Any:
        """As `Comparer.compare`."""
        return self._comparer().compare(source, target, **how)

    @property
    def calibration(self) -> Any:
        """As `Comparer.calibration`; None if the comparer has none."""
        return getattr(self._comparer(), "calibration", None)

    def _make(self) -> None:
        from likeness import inprocess

        # An error of the pack occurs again at the first comparison, which reports it.
        with suppress(LikenessError):
            made = inprocess.Comparer(self._pack, settings=self._settings)
            made.warm_up()
            self._made = made

    def _comparer(self) -> "Compares":
        from likeness import inprocess

        self._making.join()
        if self._made is None:
            self._made = inprocess.Comparer(self._pack, settings=self._settings)
        return self._made


def begin(given: argparse.Namespace) -> PreloadedComparer | None:
    """Starts to load the engine that the options select. None if they or the configuration may name a server, or if the
    pack must be downloaded first, which shows its progress.
    """
    addresses = (given.endpoint_url, os.environ.get("AWS_ENDPOINT_URL_REKOGNITION"), os.environ.get("AWS_ENDPOINT_URL"))
    if any(addresses) or _configuration_names_an_endpoint():
        return None
    # OpenBLAS threads would only spin on the processors: no matrix product here uses them (likeness.vision.products).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported before the thread starts: two threads that import wait for each other.
    from likeness import inprocess, packs  # noqa: F401

    pack = chosen_pack(given.pack)
    with suppress(LikenessError):
        return PreloadedComparer(pack, chosen_settings(given)) if packs.is_available(pack) else None
    return None


def _configuration_names_an_endpoint() -> bool:
    """A quick check that avoids importing botocore; `connection.endpoint` decides."""
    try:
        file = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
        return "endpoint_url" in file.read_text("utf-8", errors="replace")
    except (OSError, RuntimeError):
        return False
