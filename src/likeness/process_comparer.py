"""The comparer that a process keeps for `likeness.compare_faces`."""

import os
from functools import cache
from threading import Lock

from likeness.comparer import Comparer

_warming = Lock()


def _after_fork() -> None:
    """No thread in the child releases a lock that a thread of the parent held."""
    global _warming
    _warming = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _one_comparer() -> Comparer:
    return Comparer()


def warm_comparer() -> Comparer:
    """The comparer on the standard pack that `likeness.compare_faces` keeps for the whole process."""
    with _warming:  # two first calls at once must not load the networks twice
        return _one_comparer()
