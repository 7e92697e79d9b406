"""Runs in a decoder process of a test: the last bytes of a photo say what happens while it is decoded."""

import ctypes
import os
import threading
from typing import Any

from likeness.isolation import decoder

_decode = decoder.decode


def _crash() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _compute() -> None:
    while True:
        pass


def _allocate() -> None:
    bytearray(1 << 40)


def _answer_nonsense() -> None:
    os.write(decoder.CHANNEL, b"\x00\x1b[31m\xff" * 50)


def _lie() -> None:
    os.write(decoder.CHANNEL, decoder.BROKEN + b"\x1b[31mred\n" + b"x" * 10_000)


FAILURES = {
    b"crash": _crash,
    b"hang": _hang,
    b"compute": _compute,
    b"allocate": _allocate,
    b"nonsense": _answer_nonsense,
    b"lie": _lie,
}


def decode(data: bytes, *arguments: Any) -> Any:
    for ending, fail in FAILURES.items():
        if data.endswith(ending):
            fail()
    return _decode(data, *arguments)


decoder.decode = decode
