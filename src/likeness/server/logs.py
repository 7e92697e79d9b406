"""The program's log messages as JSON lines on standard error.

A repeated message is written once a minute, and a full pipe does not block the program.
"""

import json
import logging
import os
import select
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from likeness.aws.timestamps import utc_text
from likeness.server.redaction import redact

_MAX_FRAMES = 30
#: A pipe that is writable takes at least this much without blocking.
_LINE_BYTES = select.PIPE_BUF
_REPEAT_SECONDS = 60.0
_REMEMBERED = 256


class OncePerMinute(logging.Filter):
    """Passes each warning or error once a minute, with the number of repetitions since."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock  # not the record's time: a clock turned back by an hour would silence repetitions as long
        #: By identity of the message: when it last passed, and how often it was repeated since.
        self._seen: OrderedDict[object, list[float]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may pass."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, _place(record) or record.getMessage())
        passed, repeated = self._seen.pop(key, [float("-inf"), 0.0])
        now = self._clock()
        passes = now - passed >= _REPEAT_SECONDS
        record.repeated = int(repeated)
        self._seen[key] = [now, 0.0] if passes else [passed, repeated + 1]
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return passes


def _place(record: logging.LogRecord) -> str | None:
    """The type of the record's exception and where it was raised; None without one."""
    if not record.exc_info or record.exc_info[1] is None:
        return None
    frames = traceback.extract_tb(record.exc_info[1].__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(record.exc_info[1]).__name__} {where}"


class JsonHandler(logging.Handler):
    """Writes messages; those that standard error does not take immediately are dropped and counted."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0
        self.addFilter(OncePerMinute())

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line, or drops it."""
        line: dict[str, Any] = {
            "time": utc_text(datetime.fromtimestamp(record.created, UTC), "milliseconds"),
            "kind": "event",
            "level": record.levelname.lower(),
            "process": record.process,
            "message": redact(record.getMessage()),
        }
        if repeated := getattr(record, "repeated", 0):
            line["repeated"] = repeated
        if record.exc_info and record.exc_info[1]:
            line |= describe_exception(record.exc_info[1])
        text = json.dumps(line, separators=(",", ":")) + "\n"
        if len(text) > _LINE_BYTES:
            line["frames"] = line.get("frames", [])[-3:]
            line.pop("cause", None)
            text = json.dumps(line, separators=(",", ":")) + "\n"
        try:
            descriptor = sys.stderr.fileno()
            if not select.select([], [descriptor], [], 0)[1]:
                self.dropped += 1
                return
            os.write(descriptor, text.encode())
        except (OSError, ValueError):
            self.dropped += 1


#: The handler that `set_up` installs.
HANDLER = JsonHandler()


def set_up() -> None:
    """Sends messages of Likeness, and warnings of its libraries, to standard error as JSON lines."""
    root = logging.getLogger()
    root.handlers[:] = [HANDLER]
    root.setLevel(logging.WARNING)
    logging.getLogger("likeness").setLevel(logging.INFO)
    # botocore's debug messages contain whole requests; no setting and no library may turn them on.
    logging.getLogger("botocore").setLevel(logging.WARNING)


def describe_exception(error: BaseException) -> dict[str, Any]:
    """The exception's type, its redacted text and its places in the code; no values of variables."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    described: dict[str, Any] = {
        "exception": type(error).__name__,
        "text": redact(str(error)),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if error.__cause__ is not None:
        described["cause"] = describe_exception(error.__cause__)
    return described
