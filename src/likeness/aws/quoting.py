"""Callers' values in messages: in full for the caller, and shortened for the log.

Any of them may contain a photo, so a log gets at most MOST characters of a value.
"""

import hashlib

#: In base64 this is 24 octets of a photo. Most names and identifiers are shorter.
MOST = 32


def brief(value: str) -> str:
    """`value`, or, if it is longer than MOST characters, its two ends, its length and its digest."""
    if len(value) <= MOST:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{value[: MOST // 2]}...{value[-MOST // 2 :]} ({len(value)} characters, sha256 {digest})"


class Quoting(str):
    """A text for the caller, with the text for the log in `loggable`."""

    loggable: str

    def __new__(cls, text: str, loggable: str) -> "Quoting":
        """Both are complete texts."""
        made = super().__new__(cls, text)
        made.loggable = loggable
        return made


def quoting(template: str, *values: str) -> Quoting:
    """`template`, with each {} replaced by a caller's value."""
    return Quoting(template.format(*values), template.format(*map(brief, values)))


def loggable(text: str) -> str:
    """The text for the log."""
    return text.loggable if isinstance(text, Quoting) else text
