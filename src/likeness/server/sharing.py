"""Memory shared by the processes of one server, allocated before the workers start.

It has no name in any folder, so that nothing can clean it away and nothing stays behind, however the processes end.
"""

import mmap
import struct
from dataclasses import dataclass

from likeness.server.rates import Rates

#: Requests that wait, whether the engine is ready, and the generation of the snapshot: each in a word of its own.
_WORD = struct.Struct("<Q")
_WAITING, _READY, _GENERATION = (_WORD.size * number for number in range(3))
_HEADER_BYTES = 4 * _WORD.size
#: A snapshot of the metrics takes about 40 KB; memory that is not written to is not used.
_SNAPSHOT_BYTES = 1024 * 1024
_SLOT_BYTES = _HEADER_BYTES + 2 * (_WORD.size + _SNAPSHOT_BYTES)
_TRIES = 100


class SharedState:
    """A slot for each process. Each is written by one process at a time, and read by all."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def set_waiting(self, slot: int, requests: int) -> None:
        """Notes how many requests wait in a worker."""
        self._put(slot * _SLOT_BYTES + _WAITING, requests)

    def waiting(self) -> int:
        """How many requests wait in all workers."""
        return sum(self._get(slot * _SLOT_BYTES + _WAITING) for slot in range(self.slots))

    def set_ready(self, slot: int, ready: bool) -> None:
        """Notes whether a worker's engine is ready."""
        self._put(slot * _SLOT_BYTES + _READY, int(ready))

    def is_ready(self, slot: int) -> bool:
        """Whether a worker's engine is ready."""
        return bool(self._get(slot * _SLOT_BYTES + _READY))

    def write(self, slot: int, snapshot: bytes) -> None:
        """Puts a snapshot in the place of the slot's last one; one that is too large is left out.

        It goes to the inactive half, which then becomes the active one: a worker killed in between keeps the last
        snapshot whole.
        """
        if len(snapshot) > _SNAPSHOT_BYTES:
            return
        generation = self._get(slot * _SLOT_BYTES + _GENERATION) + 1
        half = self._half(slot, generation)
        self._put(half, len(snapshot))
        self._memory[half + _WORD.size : half + _WORD.size + len(snapshot)] = snapshot
        self._put(slot * _SLOT_BYTES + _GENERATION, generation)

    def read(self, slot: int) -> bytes:
        """The slot's last whole snapshot, empty before the first."""
        for _ in range(_TRIES):
            generation = self._get(slot * _SLOT_BYTES + _GENERATION)
            half = self._half(slot, generation)
            snapshot = self._memory[half + _WORD.size : half + _WORD.size + self._get(half)]
            if self._get(slot * _SLOT_BYTES + _GENERATION) == generation:
                return snapshot
        return b""

    def clear(self, slot: int) -> None:
        """Forgets what a process that is gone has noted."""
        self.set_waiting(slot, 0)
        self.set_ready(slot, False)
        self.write(slot, b"")

    def close(self) -> None:
        """Frees the memory."""
        self._memory.close()

    def _half(self, slot: int, generation: int) -> int:
        return slot * _SLOT_BYTES + _HEADER_BYTES + generation % 2 * (_WORD.size + _SNAPSHOT_BYTES)

    def _get(self, place: int) -> int:
        value: int = _WORD.unpack_from(self._memory, place)[0]
        return value

    def _put(self, place: int, value: int) -> None:
        _WORD.pack_into(self._memory, place, value)


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """One worker of the server: the processors it may use, and what it shares with the others.

    `supervisor` is the process that started it; None for a server of one process, which may outlive its parent.
    """

    number: int
    threads: int
    rates: Rates
    shared: SharedState
    supervisor: int | None = None

    def count_waiting(self, requests: int) -> int:
        """Notes how many requests wait here, and returns how many wait in all workers."""
        self.shared.set_waiting(self.number, requests)
        return self.shared.waiting()
