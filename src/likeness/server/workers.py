"""`likeness serve`: one process, or a supervisor and the workers that share its listening socket.

The socket is opened once and inherited, so a worker that dies takes no connection with it that another could answer.
The supervisor imports nothing that starts threads, so that it can fork at any time; it starts a dead worker again, and
more slowly the more often that happens.
"""

import logging
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from likeness.errors import SettingsError
from likeness.server import metrics
from likeness.server.loader import Load, load_comparer
from likeness.server.rates import Rates
from likeness.server.settings import Settings
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
    with Rates(settings.rate_per_second, settings.rate_burst, settings.rates) as rates:
        if settings.workers == 1:
            return _work(settings, listener, load, shares[0], rates)
        supervisor = Supervisor(listener, shares, lambda share: _work(settings, listener, load, share, rates))
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


def _work(settings: Settings, listener: socket.socket, load: Load, threads: int, rates: Rates) -> int:
    from likeness.server.listening import run_worker

    return run_worker(settings, listener, load, threads=threads, rates=rates)


@dataclass(slots=True)
class _Place:
    """A worker's place: how many threads it has, which process fills it, and when the next one may."""

    threads: int
    pid: int | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Keeps one worker alive for each of `shares`. `work` runs in a new process and returns its exit code."""

    listener: socket.socket
    shares: list[int]
    work: Callable[[int], int]
    _places: list[_Place] = field(default_factory=list)
    _codes: list[int] = field(default_factory=list)
    _kill_at: float | None = None
    _asked: signal.Signals | None = None

    def run(self, *, grace_seconds: float) -> int:
        """Runs until told to end, or until a worker says that it can never start. Returns the exit code."""
        self._places = [_Place(threads) for threads in self.shares]
        with _metrics_folder() as folder, _signals() as wakeups:
            while True:
                if self._asked is None:
                    self._fill_places()
                for number in wakeups(self._patience()):
                    self._heed(number, grace_seconds)
                self._collect(folder)
                if self._asked is not None and all(place.pid is None for place in self._places):
                    return max(self._codes, default=DONE)
                self._kill_the_late()

    def _fill_places(self) -> None:
        for place in self._places:
            if place.pid is None and time.monotonic() >= place.due:
                place.started = time.monotonic()
                place.pid = self._fork(place.threads)

    def _fork(self, threads: int) -> int:
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
            code = self.work(threads)
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
        waits = [place.due - now for place in self._places if place.pid is None]
        return max(0.0, min(waits, default=60.0))

    def _heed(self, number: int, grace_seconds: float) -> None:
        if number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._end(grace_seconds)

    def _end(self, grace_seconds: float) -> None:
        if self._asked is None:
            self._asked = signal.SIGTERM
            self._kill_at = time.monotonic() + grace_seconds
            # As long as one process holds the socket, the system accepts connections on it.
            self.listener.close()
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(place.pid, number)

    def _collect(self, folder: Path) -> None:
        """Takes note of the workers that ended."""
        for place in self._places:
            if place.pid is None:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if pid == 0:
                continue
            place.pid = None
            metrics.forget_process(pid, folder)
            self._note_end(place, pid, os.waitstatus_to_exitcode(status))

    def _note_end(self, place: _Place, pid: int, code: int) -> None:
        if self._asked is not None:
            self._codes.append(_CRASHED if code < 0 else code)
        elif code == CANNOT_START:
            self._codes.append(code)
            self._end(_SPARE_SECONDS)
        else:
            lived = time.monotonic() - place.started
            place.pause = 0.0 if lived >= _HEALTHY_SECONDS else min(_LONGEST_PAUSE_SECONDS, 2 * place.pause)
            place.pause = place.pause or (0.0 if lived >= _HEALTHY_SECONDS else _FIRST_PAUSE_SECONDS)
            place.due = time.monotonic() + place.pause
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


@contextmanager
def _metrics_folder() -> Iterator[Path]:
    """A folder that the workers' metrics share; prometheus_client finds it by its variable."""
    folder = Path(tempfile.mkdtemp(prefix="likeness-metrics-"))
    os.environ[metrics.FOLDER_VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[metrics.FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
