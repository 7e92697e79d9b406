"""`--debug`: a log on standard error, without photos."""

import logging
import re
import sys

from likeness.server.redaction import hide_data

LOGGERS = ("likeness", "botocore", "urllib3")
FORMAT = "%(asctime)s - %(threadName)s - %(name)s - %(levelname)s - %(message)s"

#: A photo as a member of a request, in base64 or as the repr of bytes.
_PHOTO = re.compile(r"""(["']?Bytes["']?\s*:\s*)(b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*')""")
_LONGEST_LINE = 4000


class PhotoFilter(logging.Filter):
    """Replaces photos; botocore itself does not log the secrets of signatures."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = _PHOTO.sub(lambda found: f"{found[1]}<{len(found[2])} characters of a photo>", record.getMessage())
        text = hide_data(text)
        if len(text) > _LONGEST_LINE:
            text = f"{text[:_LONGEST_LINE]}... <{len(text)} characters>"
        record.msg, record.args = text, None
        return True


def start() -> None:
    """Logs all messages of botocore, urllib3 and Likeness to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(PhotoFilter())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.handlers[:] = [handler]


def stop() -> None:
    """Stops logging, for a second call in the same process."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.handlers[:] = []
