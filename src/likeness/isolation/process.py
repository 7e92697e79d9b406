"""A decoder process as seen by the server: its channel, shared memory, limits and termination."""

import errno
import fcntl
import math
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.image import ImageLimits
from likeness.image.decoding import BrokenPhoto, CostlyPhoto, Header, decoded_shape
from likeness.isolation import decoder

#: Modules come from where this process has them; nothing else of its environment is passed on.
_PROGRAM = (
    "import sys; numbers = [int(each) for each in sys.argv[1:4]]; sys.path[:] = sys.argv[4:]; "
    "from likeness.isolation.decoder import main; main(*numbers)"
)
#: One thread; and the C library keeps freed memory up to 16 MB, instead of mapping and zeroing it for each photo.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
}
#: Where a Python that is not the system's may find its libraries.
_PASSED_ON = ("LD_LIBRARY_PATH",)

#: What a decoder allocates besides pixels, and for a pixel: Pillow's picture (4 bytes), that converted (4) and copied
#: as bytes and as an array (6), and the coefficients of a JPEG in several scans (3).
_BASE_BYTES, _BYTES_PER_PIXEL = 256 * 1024 * 1024, 17
_START_SECONDS, _HANG_SECONDS = 60.0, 10.0
#: Shared memory is divided into regions, of which all but one may hold pixels that a comparison still uses: those of
#: the two photos of a pair. What is kept of a region between photos.
_REGIONS, _KEPT_BYTES = 3, 8 * 1024 * 1024
_TOO_COSTLY = "decoding it takes more memory than is allowed. Scale it down, or raise the limit"
#: A clock of another process is its id and this kind (clock_getcpuclockid(3), which Python does not have).
_PROCESSOR_TIME = 2
#: <linux/memfd.h> and <asm-generic/mman-common.h>; Python 3.11 has no names for them.
_MFD_NOEXEC_SEAL, _MADV_REMOVE = 8, 9


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """What a decoder may have for one photo: bytes shared with the server, bytes of its own, seconds of processor time,
    and seconds in all."""

    shared_bytes: int
    memory_bytes: int
    processor_seconds: float
    seconds: float

    @classmethod
    def allowing(cls, limits: ImageLimits) -> "DecoderLimits":
        """Enough for every photo that `limits` let through."""
        return cls(
            shared_bytes=max(limits.max_bytes, 3 * limits.max_pixels),
            memory_bytes=_BASE_BYTES + 4 * limits.max_bytes + _BYTES_PER_PIXEL * limits.max_pixels,
            processor_seconds=1 + 2 * limits.max_decoding_seconds,
            # Much more, as processor time comes slowly on a busy machine.
            seconds=max(_HANG_SECONDS, 4 * limits.max_decoding_seconds),
        )


class DecoderLost(Exception):
    """The decoder ended or was ended, by "crash", "memory" or "time"; the message is a clause with the details."""

    def __init__(self, cause: str, clause: str) -> None:
        super().__init__(clause)
        self.cause = cause


class DecoderProcess:
    """Starts in the background; `decode` waits until it has started. For one thread at a time."""

    def __init__(self, limits: DecoderLimits) -> None:
        """Raises OSError where the system does not let it start."""
        self._limits = limits
        self._layers: dict[str, str] | None = None
        self._patience = 0.0
        self._region_bytes = -(-limits.shared_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        #: Where regions begin that hold no pixels in use; the last one used goes out first, as it is in the caches.
        self._free = [region * self._region_bytes for region in reversed(range(_REGIONS))]
        shared_bytes = _REGIONS * self._region_bytes
        descriptor = _sealed_memory(shared_bytes)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._shared = mmap.mmap(descriptor, shared_bytes)
            numbers = (descriptor, shared_bytes, limits.memory_bytes)
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *map(str, numbers), *map(os.path.abspath, sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
                cwd="/",
                env=_ENVIRONMENT | {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            )
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()
            os.close(descriptor)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def layers(self) -> dict[str, str]:
        """The layers of its sandbox, each with the reason why it is not in force, or ""; waits until it has started.

        Raises OSError where it ends before that.
        """
        if self._layers is None:
            try:
                said = self._answer(_START_SECONDS)
            except DecoderLost as lost:
                raise OSError(f"it ended before it had started ({self._process.poll()})") from lost
            self._layers = dict(line.split("\t", 1) for line in said.decode("utf-8", "replace").splitlines())
        return self._layers

    def decode(self, data: bytes, header: Header, reduction: int) -> tuple[NDArray[np.uint8], str | None]:
        """See `likeness.image.decoding.decode`. Raises BrokenPhoto, CostlyPhoto, DecoderLost; OSError where
        it did not start.

        The decoder's answers are not trusted: sizes are those of `header`, which was read in this process. The pixels
        are a view of the shared memory, or a copy while all other regions are in use.
        """
        _ = self.layers
        shape = decoded_shape(header, reduction)
        used_bytes = max(math.prod(shape), len(data))
        if used_bytes > self._region_bytes:
            raise CostlyPhoto(_TOO_COSTLY)
        start = self._free.pop()
        try:
            damage = self._decode(data, start, reduction)
        except BaseException:
            self._release(start, used_bytes)
            raise
        pixels = np.frombuffer(self._shared, np.uint8, math.prod(shape), start)
        weakref.finalize(pixels, self._release, start, used_bytes).atexit = False
        return (pixels if self._free else pixels.copy()).reshape(shape), damage

    def _release(self, start: int, used_bytes: int) -> None:
        """Called when the last array of a region's pixels is gone.

        Leaves no photo in the shared memory, where the decoder of a later one could read it.
        """
        if used_bytes > _KEPT_BYTES:
            self._shared.madvise(_MADV_REMOVE, start, self._region_bytes)
        else:
            np.frombuffer(self._shared, np.uint8, used_bytes, start).fill(0)
        self._free.append(start)

    def _decode(self, data: bytes, start: int, reduction: int) -> str | None:
        """Has the decoder put the pixels at `start`; returns what is damaged."""
        self._shared[start : start + len(data)] = data
        self._allow_processor_time()
        self._send(decoder.REQUEST.pack(start, len(data), reduction))
        answer = self._answer(self._limits.seconds)
        letter, text = answer[:1], _printable(answer[1:])
        if letter == decoder.COSTLY:
            raise CostlyPhoto(_TOO_COSTLY)
        if letter == decoder.BROKEN:
            raise BrokenPhoto(text)
        if letter != decoder.DECODED:
            raise DecoderLost("crash", "it cannot be decoded: the decoder gave no valid answer")
        return text or None

    def close(self) -> None:
        """Ends it immediately. Its pixels stay valid: the memory is freed with the last of them."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _send(self, request: bytes) -> None:
        try:
            self._channel.send(request)
        except OSError as error:
            raise self.lost() from error

    def _answer(self, seconds: float) -> bytes:
        if seconds != self._patience:
            # One system call an answer, where `settimeout` takes two.
            self._channel.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
            )
            self._patience = seconds
        try:
            answer = self._channel.recv(1 + decoder.MAX_TEXT)
        except BlockingIOError as error:
            clause = f"decoding it was given up after {seconds:.0f} s. Save it again with any photo program"
            raise DecoderLost("time", clause) from error
        except OSError as error:
            raise self.lost() from error
        if not answer:
            raise self.lost()
        return answer

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended while it was idle."""
        return self._process.poll() is not None

    def lost(self) -> DecoderLost:
        """The reason why it ended."""
        self._process.kill()  # without effect on how a process ended before
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return DecoderLost("time", "decoding it takes more processor time than is allowed. Scale it down")
        if code == -signal.SIGKILL:
            return DecoderLost("memory", "decoding it takes more memory than there is. Scale it down")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return DecoderLost("crash", f"it cannot be decoded: the decoder ended ({how})")

    def _allow_processor_time(self) -> None:
        """Sets the processor time for a photo, after which the kernel ends it (SIGXCPU)."""
        try:
            used = time.clock_gettime(~self.pid << 3 | _PROCESSOR_TIME)
            limit = math.ceil(used + self._limits.processor_seconds)
            resource.prlimit(self.pid, resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        except OSError as error:
            raise self.lost() from error


def _sealed_memory(size: int) -> int:
    """A descriptor of memory without a file; sealed, as a decoder that made it smaller would end the server."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create("likeness-photo", flags | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Linux before 6.3
            raise
        descriptor = os.memfd_create("likeness-photo", flags)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


def _printable(text: bytes) -> str:
    """A decoder's text, made safe for logs and errors."""
    return "".join(each if each.isprintable() else "?" for each in text.decode("utf-8", "replace"))
