"""The server's Comparer with its decoder processes, and their description for `serve --check`.

Not imported before the workers are forked: it imports numpy, which starts threads.
"""

import logging

from likeness.comparer import Comparer
from likeness.errors import SettingsError
from likeness.isolation.decoders import SUPPORTED, Decoders
from likeness.server.admission import costly_threads
from likeness.server.settings import Settings

_log = logging.getLogger(__name__)


class IsolatedComparer(Comparer):
    """A Comparer on the configured pack that decodes no photo in this process. Closing it ends its decoders."""

    def __init__(self, settings: Settings, threads: int) -> None:
        """Raises PackError, and SettingsError where decoders cannot be started."""
        #: One for each thread that compares, started while the pack is loaded; those for costly requests when needed.
        self.decoders = _started(settings, threads, spare=costly_threads(threads))
        #: The layers between them and others, by name: whether each is in force. Complete after `warm_up`.
        self.layers = {"process": True}
        try:
            super().__init__(settings.pack, settings=settings.comparer, threads=threads, decode=self.decoders.decode)
        except BaseException:
            self.decoders.close()
            raise

    def warm_up(self) -> None:
        """As Comparer's; also waits for a decoder, and raises SettingsError where it does not start."""
        super().warm_up()
        layers = _layers(self.decoders)
        self.layers |= {name: not reason for name, reason in layers.items()}
        _log.info("photos are decoded in %s", _described(layers))

    def close(self) -> None:
        """As Comparer's; and ends the decoders."""
        super().close()
        self.decoders.close()


def decoding_in_force(settings: Settings) -> str:
    """Where photos would be decoded, and with which layers of protection. Raises SettingsError."""
    if not settings.isolate_decoding:
        return "in the server's own process"
    if not SUPPORTED:
        return "in the server's own process, as decoders apart need Linux"
    decoders = _started(settings, 1)
    try:
        return "in " + _described(_layers(decoders))
    finally:
        decoders.close()


def _started(settings: Settings, count: int, *, spare: int = 0) -> Decoders:
    try:
        return Decoders.for_photos(count, settings.comparer.limits, spare=spare)
    except (OSError, OverflowError) as error:  # of a max_pixels beyond what can be addressed
        raise _cannot_start(error) from error


def _layers(decoders: Decoders) -> dict[str, str]:
    try:
        return decoders.layers()
    except OSError as error:
        raise _cannot_start(error) from error


def _cannot_start(error: Exception) -> SettingsError:
    return SettingsError(
        f"isolate_decoding: a decoder process cannot be started: {error}. "
        "Let the server start processes, or decode in its own with isolate_decoding = false"
    )


def _described(layers: dict[str, str]) -> str:
    in_force = ", ".join(name for name, reason in layers.items() if not reason) or "nothing more"
    missing = "".join(f"; without {name}: {reason}" for name, reason in layers.items() if reason)
    return f"processes of their own, with {in_force}{missing}"
