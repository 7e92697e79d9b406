"""The program of a decoder process: decodes photos in shared memory, in place, until the server ends.

A request holds a photo's offset, length and reduction; an answer, a letter and a text. Pixels overwrite the photo.
"""

import io
import math
import mmap
import os
import signal
import struct
from contextlib import suppress

import cv2
import numpy as np
import simplejpeg

# Imported now, as no file can be opened later.
from PIL import Image, JpegImagePlugin, PngImagePlugin  # noqa: F401

from likeness.image import pillow_pixels  # noqa: F401
from likeness.image.decoding import BrokenPhoto, decode, decoded_shape, read_header
from likeness.isolation import sandbox

CHANNEL = 0
REQUEST = struct.Struct("=QQQ")
#: First letters of answers: decoded; nothing can be decoded; too little memory; and the most bytes of text after them.
DECODED, BROKEN, COSTLY = b"d", b"b", b"c"
MAX_TEXT = 500

#: The open descriptors: standard input, which is the channel, and two on the null device.
_DESCRIPTORS = 3


def main(shared_descriptor: int, shared_bytes: int, memory_bytes: int) -> None:
    """Answers requests on standard input, after a first message with the layers of the sandbox (`sandbox.enter`)."""
    # A terminal or a service manager signals all processes, while the server still finishes its requests.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # if memory runs out, the kernel ends this process before the server
    cv2.setNumThreads(1)
    shared = mmap.mmap(shared_descriptor, shared_bytes)
    _warm_up()
    os.dup2(1, 2)
    os.closerange(_DESCRIPTORS, 4096)
    layers = sandbox.enter(memory_bytes, _DESCRIPTORS)
    with suppress(OSError):
        os.write(CHANNEL, "\n".join(f"{name}\t{reason}" for name, reason in layers.items()).encode())
        serve(CHANNEL, shared)


def serve(channel: int, shared: mmap.mmap) -> None:
    """Answers requests until the other end of `channel` is closed."""
    while request := os.read(channel, REQUEST.size):
        letter, text = _decoded(shared, *REQUEST.unpack(request))
        os.write(channel, letter + text.encode("utf-8", "replace")[:MAX_TEXT])


def _decoded(shared: mmap.mmap, start: int, length: int, reduction: int) -> tuple[bytes, str]:
    try:
        data = shared[start : start + length]
        header = read_header(data)
        shape = decoded_shape(header, reduction)
        out = np.frombuffer(shared, np.uint8, math.prod(shape), start).reshape(shape)
        pixels, damage = decode(data, header, reduction, out)
        if pixels is not out:
            out[:] = pixels
    except MemoryError:
        return COSTLY, ""
    except BrokenPhoto as error:
        # The C libraries have no error of their own for it.
        return (COSTLY if "memory" in str(error).lower() else BROKEN), str(error)
    except Exception as error:  # noqa: BLE001 - the edge of the process, which has nothing else to write it to
        return BROKEN, f"the decoder failed with {type(error).__name__}: {error}"
    return DECODED, damage or ""


def _warm_up() -> None:
    """Uses each library once: files that it reads on first use cannot be opened later."""
    grey = np.full((16, 16, 3), 127, np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(grey)
    for colours in ("RGB", "RGBA", "I;16"):
        png = io.BytesIO()
        Image.new(colours, (16, 16)).save(png, "PNG")
        decode(png.getvalue(), read_header(png.getvalue()), 2)
    decode(jpeg, read_header(jpeg), 1)
    with JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg)) as photo:
        photo.convert("RGB")
