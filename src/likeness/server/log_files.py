"""Log files of JSON lines, written by a thread from a bounded queue so that they never block the server.

Lines are written completely or not at all, even when the disk is full or several workers write.
"""

import errno
import fcntl
import json
import logging
import os
import queue
import select
import stat
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from likeness.errors import SettingsError

_log = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"

#: The most records that wait to be written: some megabytes.
QUEUE_RECORDS = 4096
_RECORDS_AT_ONCE = 64
#: How long an access log gathers records: waking its thread for each takes processor time from comparisons.
GATHER_SECONDS = 0.1
_RETRY_SECONDS = 1.0


class LogFile:
    """Appends complete lines to a file, which workers may share, or to standard output."""

    def __init__(self, path: str) -> None:
        """`path` is a file, or "-" for standard output. Raises SettingsError when it cannot be written."""
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = self._open()
        self._next: int | None = None

    def append(self, lines: bytes) -> None:
        """Writes complete lines; blocks while a pipe is full. When it raises OSError, the file has none of them."""
        with self._lock:
            if self._next is not None:
                os.close(self._descriptor)
                self._descriptor, self._next = self._next, None
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                self._append_to_file(lines)
            else:
                self._write(lines)

    def _append_to_file(self, lines: bytes) -> None:
        # The lock protects the truncation below: no other worker may append a line in between.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            size, position = os.fstat(self._descriptor).st_size, os.lseek(self._descriptor, 0, os.SEEK_CUR)
            try:
                self._write(lines)
            except OSError:
                os.ftruncate(self._descriptor, size)
                os.lseek(self._descriptor, position, os.SEEK_SET)
                raise
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write(self, lines: bytes) -> None:
        left = memoryview(lines)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # a pipe set to non-blocking by another process
                select.select([], [self._descriptor], [], _RETRY_SECONDS)

    def reopen(self) -> None:
        """Opens the file again after a log rotation may have moved it. Raises SettingsError."""
        if self._path == STANDARD_OUTPUT:
            return
        descriptor = self._open()
        # Used from the next lines on: the current descriptor may be in a blocked write.
        if self._next is not None:
            os.close(self._next)
        self._next = descriptor

    def _open(self) -> int:
        if self._path == STANDARD_OUTPUT:
            return sys.stdout.fileno()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SettingsError(_cannot_be_written(self._path, error)) from error
        if _ends_incomplete(self._path):
            os.write(descriptor, b"\n")
        return descriptor


def check_log_file(path: str) -> None:
    """Raises SettingsError where `LogFile(path)` would; leaves no file behind and does not wait for a pipe's reader."""
    if path == STANDARD_OUTPUT:
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            os.close(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o640))
            os.unlink(path)
        except FileExistsError:
            os.close(os.open(path, flags))
    except OSError as error:
        if error.errno != errno.ENXIO:  # a pipe without a reader
            raise SettingsError(_cannot_be_written(path, error)) from error


def _cannot_be_written(path: str, error: OSError) -> str:
    return f"log file {path} cannot be written: {error.strerror}"


def _ends_incomplete(path: str) -> bool:
    """Whether the last line lacks its end, as after a killed writer; the next line must not continue it."""
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # writable but not readable
        return False


class LogWriter:
    """Queues records and writes them in a thread.

    Records are dropped and counted when the queue is full, and when they cannot be written, unless `keep`: then writing
    is retried until it succeeds. A record may wait `gather_seconds` for others that are written with it.
    """

    def __init__(self, name: str, file: LogFile, *, keep: bool = False, gather_seconds: float = 0.0) -> None:
        self.name = name
        self.dropped = 0
        self.is_failing = False
        self._file = file
        self._keep = keep
        self._gather_seconds = gather_seconds
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_RECORDS)
        self._thread = threading.Thread(target=self._run, name=f"log {name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of records that are not written yet."""
        return self._queue.unfinished_tasks

    def has_capacity(self, records: int) -> bool:
        """Whether the queue can take that many more records, and writing succeeds."""
        return not self.is_failing and self.waiting + records <= QUEUE_RECORDS

    def write(self, record: dict[str, Any]) -> None:
        """Puts a record into the queue."""
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._drop(1)

    def reopen(self) -> None:
        """See `LogFile.reopen`."""
        self._file.reopen()

    def close(self, seconds: float) -> None:
        """Writes what is queued within that many seconds; the rest is lost."""
        end = time.monotonic() + seconds
        with suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(max(0.0, end - time.monotonic()))

    def _drop(self, records: int) -> None:
        self.dropped += records
        _log.warning("records of the %s are dropped: they cannot be written fast enough", self.name)

    def _run(self) -> None:
        ended = False
        while not ended:
            lines = [self._queue.get()]
            if self._queue.empty():
                time.sleep(self._gather_seconds)
            while len(lines) < _RECORDS_AT_ONCE and not self._queue.empty():
                lines.append(self._queue.get())
            ended = None in lines
            self._append([line for line in lines if line is not None])
            for _ in lines:
                self._queue.task_done()

    def _append(self, lines: list[bytes]) -> None:
        while True:
            try:
                self._file.append(b"".join(lines))
            except OSError as error:
                if not self.is_failing:
                    self.is_failing = True
                    _log.error("the %s cannot be written: %s", self.name, error.strerror)
                if not self._keep:
                    self._drop(len(lines))
                    return
                time.sleep(_RETRY_SECONDS)
            else:
                self.is_failing = False
                return
