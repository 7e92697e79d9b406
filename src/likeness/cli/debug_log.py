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


class PrivateFormatter(logging.Formatter):
    """Replaces photos, tokens and answers, also in the texts of exceptions, which quote what a parser was given.

    botocore itself does not log the secrets of signatures.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = hide_data(_PHOTO.sub(_without_photo, super().format(record)))
        return "\n".join(map(_shortened, text.split("\n")))


def _without_photo(found: re.Match[str]) -> str:
    return f"{found[1]}<{len(found[2])} characters of a photo>"


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}... <{len(line)} characters>"


def start() -> None:
    """Logs all messages of botocore, urllib3 and Likeness to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrivateFormatter(FORMAT))
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
