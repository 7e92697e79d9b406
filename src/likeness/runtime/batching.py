"""Batches the runs of a network from several threads, faces and requests, as GPUs need many pictures per run.

No call waits for others: one that finds the device free runs immediately, and those that arrive meanwhile form the next
batch. A single request is as fast as without batching, and batches grow with the load.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The most pictures of a run, which bounds the device's memory.
MOST_PICTURES = 64


def joined(session: Any) -> Any:
    """ONNX Runtime's `session` with batched runs; unchanged if its outputs cannot be split by batch.

    They can if the first dimensions of its only input and of all outputs are free and have the same name.
    """
    first = {(value.shape or [1])[0] for value in (*session.get_inputs(), *session.get_outputs())}
    named = len(first) == 1 and isinstance(next(iter(first)), str)
    return JoinedSession(session) if named and len(session.get_inputs()) == 1 else session


@dataclass(eq=False, slots=True)
class _Call:
    """A call that waits; if it is done without outputs, the run that it was joined to has failed."""

    pictures: NDArray[Any]
    outputs: list[NDArray[Any]] | None = None
    done: bool = False


class JoinedSession:
    """A session of one input whose calls are run one batch after the other, first come, first served."""

    def __init__(self, session: Any, most_pictures: int = MOST_PICTURES) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._most = most_pictures
        self._changed = Condition()
        self._waiting: deque[_Call] = deque()
        self._busy = False

    def get_inputs(self) -> Any:
        """As the session's."""
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        """As the session's."""
        return self._session.get_outputs()

    def run(self, names: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs `names`, the same for all calls. Raises what the session raises for this call's pictures."""
        call = _Call(feed[self._input])
        with self._changed:
            self._waiting.append(call)
        while batch := self._next_batch(call):
            self._run(names, batch)
        if call.outputs is None:  # alone, so that a picture that fails, or a lack of memory, affects no other call
            outputs: list[NDArray[Any]] = self._session.run(names, dict(feed))
            return outputs
        return call.outputs

    def _next_batch(self, call: _Call) -> list[_Call]:
        """The first calls that wait, for this thread to run as soon as the device is free; none if `call` is done."""
        with self._changed:
            self._changed.wait_for(lambda: call.done or not self._busy)
            if call.done:
                return []
            self._busy = True
            batch = [self._waiting.popleft()]
            while self._waiting and self._fits(batch, self._waiting[0]):
                batch.append(self._waiting.popleft())
            return batch

    def _fits(self, batch: Sequence[_Call], call: _Call) -> bool:
        like = batch[0].pictures
        together = sum(len(each.pictures) for each in batch) + len(call.pictures)
        same = call.pictures.shape[1:] == like.shape[1:] and call.pictures.dtype == like.dtype
        return same and together <= self._most

    def _run(self, names: Sequence[str], batch: Sequence[_Call]) -> None:
        try:
            pictures = [each.pictures for each in batch]
            outputs = self._session.run(names, {self._input: np.concatenate(pictures)})
            ends = np.cumsum([len(each) for each in pictures])[:-1]
            for call, *parts in zip(batch, *(np.split(output, ends) for output in outputs), strict=True):
                call.outputs = parts
        except Exception:  # noqa: BLE001, S110 - each call of the batch then runs alone, and raises its own error
            pass
        finally:
            with self._changed:
                for call in batch:
                    call.done = True
                self._busy = False
                self._changed.notify_all()
