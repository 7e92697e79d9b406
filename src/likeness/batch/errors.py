"""Errors of a batch as a whole; a photo that cannot be used is a row with its reason instead."""

from likeness.errors import LikenessError


class BatchError(LikenessError):
    """A batch cannot start or continue; the message says what to change."""
