"""`likeness serve`: one process, or a supervisor and the workers that share its listening socket.

The workers inherit one socket, so that waiting connections survive a worker that dies. The supervisor imports nothing
that starts threads, so that it can fork at any time; it restarts dead workers, with growing delays if they fail early.
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
from likeness.server.exit_codes import CANNOT_START, CRASHED, DONE
from likeness.server.loader import Load, load_comparer
from likeness.server.rates import Rates
from likeness.server.settings import Settings
from likeness.server.sharing import SharedState, WorkerSlot
from likeness.system.processors import thread_budget

_log = logging.getLogger(__name__)

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: A worker that ran this long is restarted immediately; otherwise the delay doubles each time.
_HEALTHY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0
#: What a worker may take beyond its grace period before it is killed.
_SPARE_SECONDS = 3.0


def run(settings: Settings, listener: socket.socket, load: Load = load_comparer) -> int:
    """Serves on `listener` until SIGTERM or SIGINT; returns the exit code, 0 for success."""
    shares = thread_shares(settings.threads or thread_budget(), settings.workers)
    # One slot more than workers: for the counts of workers that have ended.
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
    """Makes SIGTERM and SIGINT exit with 0 until a server, which has requests to finish, handles them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _leave(*_: object) -> None:
    raise SystemExit(DONE)


def thread_shares(threads: int, workers: int) -> list[int]:
    """How many of `threads` each worker may use, as evenly as possible."""
    each, left = divmod(threads, workers)
    return [each + (number < left) for number in range(workers)]


def _work(settings: Settings, listener: socket.socket, load: Load, slot: WorkerSlot) -> int:
    from likeness.server.serving import run_worker

    return run_worker(settings, listener, load, slot)


@dataclass(slots=True)
class _Worker:
    """A slot, its process, and when the next one may start. `cannot_start`: the last one exited with CANNOT_START."""

    slot: WorkerSlot
    pid: int | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    cannot_start: bool = False


@dataclass(slots=True)
class Supervisor:
    """Keeps one worker running per slot. `work` runs in a new process and returns its exit code.

    A worker that cannot start ends the server only if no worker has ever been ready and none is still starting: a pack,
    log or key file that has worked before may come back.
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
        """Runs until a signal stops it or no worker can start. Returns the exit code."""
        self._workers = [_Worker(slot) for slot in self.slots]
        with _signals() as wakeups:
            while True:
                if self._asked is None:
                    self._fill_slots()
                for number in wakeups(self._timeout()):
                    self._handle(number, grace_seconds)
                self._collect()
                if self._asked is not None and all(worker.pid is None for worker in self._workers):
                    return max(self._codes, default=DONE)
                self._kill_overdue()

    def _fill_slots(self) -> None:
        for worker in self._workers:
            if worker.pid is None and time.monotonic() >= worker.due:
                worker.started = time.monotonic()
                worker.pid = self._fork(worker.slot)

    def _fork(self, slot: WorkerSlot) -> int:
        # Blocked, so that a signal reaches either the supervisor's handlers or the worker's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            return pid
        code = CRASHED
        try:
            signal.set_wakeup_fd(-1)
            leave_on_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            code = self.work(slot)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else DONE
        except SettingsError as error:
            _log.error("%s", error)
            code = CANNOT_START
        except Exception:  # noqa: BLE001 - any bug ends the process with a log record
            _log.exception("worker %d failed", os.getpid())
        finally:
            logging.shutdown()
            # Not sys.exit, which would run the supervisor's clean-up further up this stack.
            os._exit(code)

    def _timeout(self) -> float:
        """Seconds until something is due without a signal."""
        now = time.monotonic()
        if self._kill_at is not None:
            return max(0.0, self._kill_at - now)
        waits = [worker.due - now for worker in self._workers if worker.pid is None]
        return max(0.0, min(waits, default=60.0))

    def _handle(self, number: int, grace_seconds: float) -> None:
        if number == signal.SIGHUP:
            self._signal_all(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._end(number, grace_seconds)

    def _end(self, number: int, grace_seconds: float) -> None:
        if self._asked is None:
            self._asked = signal.SIGTERM
            self._kill_at = time.monotonic() + grace_seconds
            # The system accepts connections as long as one process holds the socket.
            self.listener.close()
            self._signal_all(signal.SIGTERM)
        elif number == signal.SIGINT:
            self._signal_all(signal.SIGINT)  # the second request: without waiting

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)

    def _collect(self) -> None:
        """Handles workers that have ended."""
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
            self._codes.append(CRASHED if code < 0 else code)
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

    def _kill_overdue(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            _log.error("workers did not end within the grace period and are killed")
            self._signal_all(signal.SIGKILL)
            self._kill_at = time.monotonic() + _SPARE_SECONDS


@contextmanager
def _signals() -> Iterator[Callable[[float], bytes]]:
    """Yields a function that waits at most that many seconds and returns the numbers of the signals received."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in (*_HANDLED, signal.SIGCHLD)}
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
