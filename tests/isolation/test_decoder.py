"""The decoder's answers, without its process."""

import mmap
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from likeness.image import open_image
from likeness.isolation import decoder

from .conftest import jpeg

#: Where photos and pixels are in the shared memory.
START = 4096


def answers(*photos: tuple[bytes, int]) -> list[tuple[bytes, bytes]]:
    """What is answered to each photo and reduction, and the shared memory after it, from START."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found = []
    with ours, theirs, mmap.mmap(-1, 1 << 20) as shared, ThreadPoolExecutor(1) as pool:
        served = pool.submit(decoder.serve, theirs.fileno(), shared)
        for data, reduction in photos:
            shared[START : START + len(data)] = data
            ours.send(decoder.REQUEST.pack(START, len(data), reduction))
            found.append((ours.recv(1000), shared[START:]))
        ours.shutdown(socket.SHUT_WR)
        served.result(60)
    return found


def test_pixels_replace_the_photo() -> None:
    data = jpeg(160, 120)
    ((answer, shared),) = answers((data, 2))
    assert answer == decoder.DECODED
    assert shared.startswith(open_image(data).pixels(2).tobytes())


def test_answers_say_what_is_wrong() -> None:
    data = jpeg()
    found = [answer for answer, _ in answers((data[:-3000], 1), (b"GIF89a", 1), (data, 0), (jpeg(2000, 2000), 1))]
    assert found[0].startswith(decoder.DECODED + b"Premature end")
    assert found[1][:1] == found[2][:1] == found[3][:1] == decoder.BROKEN
    assert b"ZeroDivisionError" in found[2]
    assert b"ValueError" in found[3]  # more than the shared memory holds


def test_warming_up_needs_no_process() -> None:
    decoder._warm_up()
    assert os.getpid()


def test_lack_of_memory_is_told_apart(monkeypatch) -> None:
    def decode(data: bytes, *_: object) -> tuple[np.ndarray, None]:
        raise MemoryError

    monkeypatch.setattr(decoder, "decode", decode)
    ((answer, _),) = answers((jpeg(), 1))
    assert answer == decoder.COSTLY
