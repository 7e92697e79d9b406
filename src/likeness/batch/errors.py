"""Errors of a batch as a whole; a photo that cannot be used is a row with its reason instead."""

from likeness.errors import LikenessError


class BatchError(LikenessError):
    """A batch cannot start or continue; the message says what to change."""


def unreadable(error: Exception) -> str:
    """Why a file of text cannot be read, for people."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8; save it with that encoding"
    return getattr(error, "strerror", None) or str(error)
