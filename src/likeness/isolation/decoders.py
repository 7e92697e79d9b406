"""The decoder processes of a server: started ahead, one for each comparing thread, and replaced when one is lost."""

import logging
import sys
from collections import Counter
from contextlib import suppress
from queue import Empty, LifoQueue
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from likeness.errors import InternalFailure
from likeness.image import ImageLimits
from likeness.image.decoding import BrokenPhoto, CostlyPhoto, Header
from likeness.isolation.process import DecoderLimits, DecoderLost, DecoderProcess

_log = logging.getLogger(__name__)

#: Sealed and nameless shared memory, limits for other processes and sockets that keep messages apart: Linux has all.
SUPPORTED = sys.platform.startswith("linux")


class Decoders:
    """`decode` is `likeness.image.decoding.decode` in other processes; for any number of threads."""

    def __init__(self, count: int, limits: DecoderLimits, *, spare: int = 0) -> None:
        """Starts `count` processes, and up to `spare` more when they are needed. Raises OSError if that fails."""
        self._limits = limits
        self._count = spare + count
        #: How many were lost, by cause: see DecoderLost.
        self.lost: Counter[str] = Counter()
        self._counting = Lock()
        # Last in, first out: the memory of the last one is in the processor's caches. None: still to be started.
        self._idle: LifoQueue[DecoderProcess | None] = LifoQueue()
        for _ in range(spare):
            self._idle.put(None)
        try:
            for _ in range(count):
                self._idle.put(DecoderProcess(limits))
        except BaseException:
            self.close()
            raise

    @classmethod
    def for_photos(cls, count: int, limits: ImageLimits, *, spare: int = 0) -> "Decoders":
        """With limits that admit every photo that `limits` admit."""
        return cls(count, DecoderLimits.allowing(limits), spare=spare)

    def decode(self, data: bytes, header: Header, reduction: int) -> tuple[NDArray[np.uint8], str | None]:
        """See `likeness.image.decoding.decode`. Raises BrokenPhoto, CostlyPhoto, InternalFailure without a decoder.

        Waits while all decoders are in use.
        """
        process = self._idle.get()
        try:
            if process is not None and process.has_ended:
                self._note(process.lost(), "while it was idle")
                process.close()
                process = None
            process = process or DecoderProcess(self._limits)
            return process.decode(data, header, reduction)
        except DecoderLost as lost:
            self._note(lost, "by a photo")
            process = self._replaced(process)
            raise (BrokenPhoto if lost.cause == "crash" else CostlyPhoto)(str(lost)) from lost
        except OSError as error:
            process = self._replaced(process)
            raise InternalFailure(f"a decoder process cannot be started: {error}") from error
        finally:
            self._idle.put(process)

    def layers(self) -> dict[str, str]:
        """The layers of the sandbox, each with the reason why it is not in force, or ""; waits for a decoder.

        Raises OSError where none can be started.
        """
        process = self._idle.get()
        try:
            process = process or DecoderProcess(self._limits)
            return process.layers
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """Ends the idle processes; busy ones end with this process."""
        with suppress(Empty):
            for _ in range(self._count):
                process = self._idle.get_nowait()
                if process is not None:
                    process.close()

    def _note(self, lost: DecoderLost, when: str) -> None:
        with self._counting:
            self.lost[lost.cause] += 1
        _log.warning("a decoder was lost %s and is replaced (%s): %s", when, lost.cause, lost)

    def _replaced(self, process: DecoderProcess | None) -> DecoderProcess | None:
        """A new process, starting in the background; None if that fails, so that the next photo tries again."""
        if process is not None:
            process.close()
        try:
            return DecoderProcess(self._limits)
        except OSError:
            return None
