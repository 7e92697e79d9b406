"""Values that callers choose, in messages: quoted whole for the caller, and briefly for the log.

A photo may be put into any of them. Whatever a value looks like, a log holds no more of it than MOST characters.
"""

import hashlib

#: In base64 they are 24 octets of a photo. Most names and identifiers are shorter.
MOST = 32


def brief(value: str) -> str:
    """`value`, or of one longer than MOST characters its two ends, its length and its digest."""
    if len(value) <= MOST:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{value[: MOST // 2]}...{value[-MOST // 2 :]} ({len(value)} characters, sha256 {digest})"


class Quoting(str):
    """A text for the caller; `loggable` is the one for the log."""

    loggable: str

    def __new__(cls, text: str, loggable: str) -> "Quoting":
        """Both are whole texts."""
        made = super().__new__(cls, text)
        made.loggable = loggable
        return made


def quoting(template: str, *values: str) -> Quoting:
    """`template`, with a value of the caller in the place of each {}."""
    return Quoting(template.format(*values), template.format(*map(brief, values)))


def loggable(text: str) -> str:
    """What of a text may be logged."""
    return text.loggable if isinstance(text, Quoting) else text
