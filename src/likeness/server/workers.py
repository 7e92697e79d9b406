"""`likeness serve`: one process, or a supervisor and the workers that share its listening socket.

The socket is opened once and inherited, so a worker that dies takes no connection with it that another could answer.
The supervisor imports nothing that starts threads, so that it can fork at any time; it starts a dead worker again, and
more slowly the more often that happens.
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from likeness.errors import SettingsError
from likeness.server import metrics
from likeness.server.loader import Load, load_comparer
from likeness.server.rates import Rates
from likeness.server.settings import Settings
from likeness.server.sharing import SharedState, WorkerSlot
from likeness.threads import thread_budget

_log = logging.getLogger(__name__)

DONE = 0
CANNOT_START = 78
_HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CRASHED = 70
#: A worker that lived so long starts again at once; one that did not waits, twice as long each time.
_HEALTHY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0
#: What a worker may take beyond its own grace period before it is killed.
_SPARE_SECONDS = 3.0


def run(settings: Settings, listener: socket.socket, load: Load = load_comparer) -> int:
    """Serves on `listener` until SIGTERM or SIGINT; returns the exit code, 0 when all ended well."""
    shares = thread_shares(settings.threads or thread_budget(), settings.workers)
    # One slot more than workers, for what those have counted that are gone.
    with (
        Rates(settings.rate_per_second, settings.rate_burst, settings.rates) as rates,
        closing(SharedState(settings.workers + 1)) as shared,
    ):
        if settings.workers == 1:
            return _work(settings, listener, load, WorkerSlot(0, shares[0], rates, shared))
        slots = [WorkerSlot(number, share, rates, shared, os.getpid()) for number, share in enumerate(shares)]
        supervisor = Supervisor(listener, slots, lambda slot: _work(settings, listener, load, slot))
        return supervisor.run(grace_seconds=settings.grace_seconds + _SPARE_SECONDS)


def leave_on_signals() -> None:
    """Until there is a server that has something to finish, SIGTERM and SIGINT simply end the process, with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _leave(*_: object) -> None:
    raise SystemExit(DONE)


def thread_shares(threads: int, workers: int) -> list[int]:
    """How many of `threads` each worker may use: as even as can be, all of them and no more in sum."""
    each, left = divmod(threads, workers)
    return [each + (number < left) for number in range(workers)]


def _work(settings: Settings, listener: socket.socket, load: Load, slot: WorkerSlot) -> int:
    from likeness.server.serving import run_worker

    return run_worker(settings, listener, load, slot)


@dataclass(slots=True)
class _Worker:
    """A worker's slot, which process fills it, and when the next one may. `cannot_start`: the last one could not."""

    slot: WorkerSlot
    pid: int | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    cannot_start: bool = False


@dataclass(slots=True)
class Supervisor:
    """Keeps one worker alive for each of `slots`. `work` runs in a new process and returns its exit code.

    A worker that cannot start ends the server only if no worker has ever been ready and none is still starting: what
    worked once, a pack, a log, a key file, is away for a moment only.
    """

    listener: socket.socket
    slots: list[WorkerSlot]
    work: Callable[[WorkerSlot], int]
    _workers: list[_Worker] = field(default_factory=list)
    _codes: list[int] = field(default_factory=list)
    _kill_at: float | None = None
    _asked: signal.Signals | None = None
    _has_been_ready: bool = False

    def run(self, *, grace_seconds: float) -> int:
        """Runs until a signal ends it, or until no worker can start. Returns the exit code."""
        self._workers = [_Worker(slot) for slot in self.slots]
        with _signals() as wakeups:
            while True:
                if self._asked is None:
                    self._fill_slots()
                for number in wakeups(self._patience()):
                    self._heed(number, grace_seconds)
                self._collect()
                if self._asked is not None and all(worker.pid is None for worker in self._workers):
                    return max(self._codes, default=DONE)
                self._kill_the_late()

    def _fill_slots(self) -> None:
        for worker in self._workers:
            if worker.pid is None and time.monotonic() >= worker.due:
                worker.started = time.monotonic()
                worker.pid = self._fork(worker.slot)

    def _fork(self, slot: WorkerSlot) -> int:
        # Blocked, so that a signal meets either the supervisor's handlers or the worker's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
            return pid
        code = _CRASHED
        try:
            signal.set_wakeup_fd(-1)
            leave_on_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
            code = self.work(slot)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else DONE
        except SettingsError as error:
            _log.error("%s", error)
            code = CANNOT_START
        except Exception:  # noqa: BLE001 - the edge of the process
            _log.exception("worker %d failed", os.getpid())
        finally:
            logging.shutdown()
            # Not sys.exit: the supervisor's own clean-up, further up this stack, is not the worker's to do.
            os._exit(code)

    def _patience(self) -> float:
        """Seconds until there is something to do though no signal comes."""
        now = time.monotonic()
        if self._kill_at is not None:
            return max(0.0, self._kill_at - now)
        waits = [worker.due - now for worker in self._workers if worker.pid is None]
        return max(0.0, min(waits, default=60.0))

    def _heed(self, number: int, grace_seconds: float) -> None:
        if number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._end(number, grace_seconds)

    def _end(self, number: int, grace_seconds: float) -> None:
        if self._asked is None:
            self._asked = signal.SIGTERM
            self._kill_at = time.monotonic() + grace_seconds
            # As long as one process holds the socket, the system accepts connections on it.
            self.listener.close()
            self._tell(signal.SIGTERM)
        elif number == signal.SIGINT:
            self._tell(signal.SIGINT)  # asked a second time: without waiting

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)

    def _collect(self) -> None:
        """Takes note of the workers that ended."""
        for worker in self._workers:
            if worker.pid is None:
                continue
            shared, number = worker.slot.shared, worker.slot.number
            self._has_been_ready = self._has_been_ready or shared.is_ready(number)
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid == 0:
                continue
            worker.pid = None
            metrics.keep_counts(shared, number, ended=shared.slots - 1)
            self._note_end(worker, pid, os.waitstatus_to_exitcode(status))

    def _note_end(self, worker: _Worker, pid: int, code: int) -> None:
        if self._asked is not None:
            self._codes.append(_CRASHED if code < 0 else code)
            return
        worker.cannot_start = code == CANNOT_START
        if not self._has_been_ready and all(each.pid is None and each.cannot_start for each in self._workers):
            self._codes.append(CANNOT_START)
            self._end(signal.SIGTERM, _SPARE_SECONDS)
            return
        lived = time.monotonic() - worker.started
        if lived >= _HEALTHY_SECONDS and code != CANNOT_START:
            worker.pause = 0.0
        else:
            worker.pause = min(_LONGEST_PAUSE_SECONDS, 2 * worker.pause) or _FIRST_PAUSE_SECONDS
        worker.due = time.monotonic() + worker.pause
        _log.error("worker %d ended with code %d after %.0f s; a new one starts", pid, code, lived)

    def _kill_the_late(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            _log.error("workers did not end within the grace period and are killed")
            self._tell(signal.SIGKILL)
            self._kill_at = time.monotonic() + _SPARE_SECONDS


@contextmanager
def _signals() -> Iterator[Callable[[float], bytes]]:
    """Gives a function that waits, at most so many seconds, and returns the numbers of the signals that came."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in (*_HEEDED, signal.SIGCHLD)}
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)

        def wait(seconds: float) -> bytes:
            return reader.recv(4096) if selector.select(seconds) else b""

        try:
            yield wait
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()
