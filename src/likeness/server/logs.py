"""JSON lines: the access log, the audit log, and what else there is to say.

A line tells who asked, when, how long it took and why it failed. It never holds a photo, an embedding, a landmark or a
similarity (a test greps for them).
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any

from likeness.aws.errors import SerializationError, WireError
from likeness.errors import RequestError, SettingsError
from likeness.server.request_context import RequestContext

_MAX_TEXT = 500
_MAX_FRAMES = 30
_ECHO = re.compile(r"^'.*'(?= can not be converted)", re.DOTALL)

STANDARD_OUTPUT = "-"


class Lines:
    """A file of JSON lines, or standard output. Workers share it: a line is one write to a file opened to append."""

    def __init__(self, path: str) -> None:
        """`path` is a file, or "-". Raises SettingsError when it cannot be written."""
        self._path = path
        self._lock = threading.Lock()
        self._failed = False
        self._descriptor = self._open()

    def write(self, record: dict[str, Any]) -> None:
        """Appends a line. A full disk costs the line, not the request; it is said once."""
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
                self._failed = False
            except OSError as error:
                if not self._failed:
                    self._failed = True
                    logging.getLogger(__name__).error("%s cannot be written: %s", self._path, error.strerror)

    def reopen(self) -> None:
        """Opens the file again, which a log rotation may have moved away."""
        if self._path == STANDARD_OUTPUT:
            return
        with self._lock:
            old, self._descriptor = self._descriptor, self._open()
            os.close(old)

    def _open(self) -> int:
        if self._path == STANDARD_OUTPUT:
            return sys.stdout.fileno()
        try:
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SettingsError(f"log file {self._path} cannot be written: {error.strerror}") from error


class JsonHandler(logging.Handler):
    """The program's own messages as JSON lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {
            "time": _iso(datetime.fromtimestamp(record.created, UTC)),
            "kind": "event",
            "level": record.levelname.lower(),
            "process": record.process,
            "message": record.getMessage()[:_MAX_TEXT],
        }
        if record.exc_info and record.exc_info[1]:
            line |= describe_exception(record.exc_info[1])
        try:
            sys.stderr.write(json.dumps(line, separators=(",", ":")) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def set_up() -> None:
    """Sends messages of Likeness, and warnings of the libraries below it, to standard error as JSON lines."""
    root = logging.getLogger()
    root.handlers[:] = [JsonHandler()]
    root.setLevel(logging.WARNING)
    logging.getLogger("likeness").setLevel(logging.INFO)
    # botocore's debug messages hold whole requests. No setting and no library may turn them on here.
    logging.getLogger("botocore").setLevel(logging.WARNING)


def describe_exception(error: BaseException) -> dict[str, Any]:
    """The type, the text cut short, and the places in the code; no values of variables."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    described: dict[str, Any] = {
        "exception": type(error).__name__,
        "text": str(error)[:_MAX_TEXT],
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if error.__cause__ is not None:
        described["cause"] = describe_exception(error.__cause__)
    return described


def access_record(context: RequestContext) -> dict[str, Any]:
    """The access log's line for a request."""
    record: dict[str, Any] = {
        "time": _iso(context.time),
        "kind": "access",
        "request_id": context.request_id,
        "client": context.client,
        "method": context.method[:_MAX_TEXT],
        "path": context.path[:_MAX_TEXT],
        "status": context.status,
        "user_agent": (context.header("user-agent") or "")[:_MAX_TEXT],
        "body_bytes": context.body_bytes,
        "seconds": {name: round(value, 4) for name, value in context.seconds.items()},
    }
    if context.identity is not None:
        record["key"] = context.identity.key.id
    if context.error is not None:
        record |= {"code": context.error.code, "reason": _reason(context.error)}
    elif context.reason:
        record["reason"] = context.reason[:_MAX_TEXT]
    if context.target is not None:
        record["target"] = context.target[:_MAX_TEXT]
    if context.trace is not None:
        record["faces"] = {"source": context.trace.source_faces, "target": context.trace.target_faces}
        record["notes"] = list(context.trace.notes)
    return record


def _reason(error: RequestError | WireError) -> str:
    text = str(error)
    if isinstance(error, SerializationError):
        # The caller is told which value was no base64. That value is a photo.
        text = _ECHO.sub("a value", text)
    return text[:_MAX_TEXT]


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
