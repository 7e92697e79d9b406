"""Memory shared by the processes of one server, allocated before the workers start.

It is anonymous: nothing can delete it, and nothing remains however the processes end.
"""

import mmap
import struct
from dataclasses import dataclass

from likeness.server.rates import Rates

#: The number of waiting requests, whether the engine is ready, the snapshot's generation, and the number of open
#: connections: one word each.
_WORD = struct.Struct("<Q")
_WAITING, _READY, _GENERATION, _CONNECTIONS = (_WORD.size * number for number in range(4))
_HEADER_BYTES = 4 * _WORD.size
#: A snapshot of the metrics has about 40 KB; pages that are never written take no memory.
_SNAPSHOT_BYTES = 1024 * 1024
_SLOT_BYTES = _HEADER_BYTES + 2 * (_WORD.size + _SNAPSHOT_BYTES)
_TRIES = 100


class SharedState:
    """One slot per process; each is written by one process at a time and read by all."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def set_waiting(self, slot: int, requests: int) -> None:
        """Records how many requests wait in a worker."""
        self._put(slot * _SLOT_BYTES + _WAITING, requests)

    def waiting(self) -> int:
        """How many requests wait in all workers."""
        return sum(self._get(slot * _SLOT_BYTES + _WAITING) for slot in range(self.slots))

    def set_ready(self, slot: int, ready: bool) -> None:
        """Records whether a worker's engine is ready."""
        self._put(slot * _SLOT_BYTES + _READY, int(ready))

    def is_ready(self, slot: int) -> bool:
        """Whether a worker's engine is ready."""
        return bool(self._get(slot * _SLOT_BYTES + _READY))

    def set_connections(self, slot: int, connections: int) -> None:
        """Records how many connections are open in a worker."""
        self._put(slot * _SLOT_BYTES + _CONNECTIONS, connections)

    def connections(self, slot: int) -> int:
        """How many connections are open in a worker."""
        return self._get(slot * _SLOT_BYTES + _CONNECTIONS)

    def write(self, slot: int, snapshot: bytes) -> None:
        """Replaces the slot's snapshot; one that is too large is ignored.

        It is written to the inactive half, which then becomes the active one, so that the last snapshot stays complete
        if the worker is killed.
        """
        if len(snapshot) > _SNAPSHOT_BYTES:
            return
        generation = self._get(slot * _SLOT_BYTES + _GENERATION) + 1
        half = self._half(slot, generation)
        self._put(half, len(snapshot))
        self._memory[half + _WORD.size : half + _WORD.size + len(snapshot)] = snapshot
        self._put(slot * _SLOT_BYTES + _GENERATION, generation)

    def read(self, slot: int) -> bytes:
        """The slot's last complete snapshot; empty if there is none."""
        for _ in range(_TRIES):
            generation = self._get(slot * _SLOT_BYTES + _GENERATION)
            half = self._half(slot, generation)
            snapshot = self._memory[half + _WORD.size : half + _WORD.size + self._get(half)]
            if self._get(slot * _SLOT_BYTES + _GENERATION) == generation:
                return snapshot
        return b""

    def clear(self, slot: int) -> None:
        """Clears the slot of a process that has ended."""
        self.set_waiting(slot, 0)
        self.set_ready(slot, False)
        self.set_connections(slot, 0)
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
    """One worker of the server: the number of threads it may use, and what it shares with the others.

    `supervisor` is the id of the process that started it; None with one worker, which runs without a supervisor.
    """

    number: int
    threads: int
    rates: Rates
    shared: SharedState
    supervisor: int | None = None

    def count_waiting(self, requests: int) -> int:
        """Records how many requests wait here; returns how many wait in all workers."""
        self.shared.set_waiting(self.number, requests)
        return self.shared.waiting()

    def count_connections(self, connections: int) -> None:
        """Records how many connections are open here."""
        self.shared.set_connections(self.number, connections)

    def is_ahead(self) -> bool:
        """Whether another worker is to accept the next connection: a ready one first, then the one that has fewest.

        Up to an eighth more counts as equal, so that in a flood not every connection waits for another worker.
        """
        shared = self.shared
        here, ready = shared.connections(self.number), shared.is_ready(self.number)
        others = [slot for slot in range(shared.slots - 1) if slot != self.number]  # the last slot is no worker's
        return any(
            shared.is_ready(slot) > ready
            or (shared.is_ready(slot) == ready and here * 8 > shared.connections(slot) * 9)
            for slot in others
        )
