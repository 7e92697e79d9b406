"""One input at a time, watched: what it ends with, its processor time, the memory that it takes.

The state is in a file that the runner reads too, so that an input that crashes or hangs this process is known.
"""

import hashlib
import mmap
import os
import resource
import struct
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fuzz.target import Target

#: The most processor time and memory that one input may take.
MOST_SECONDS, MOST_BYTES = 2.0, 500_000_000
_MOST_INPUT_BYTES = 1 << 20
#: Where the package is; folders above the checkout may have the same name.
_PACKAGE = f"{Path(__file__).resolve().parents[1] / 'src' / 'likeness'}{os.sep}"


class State:
    """What a process does now, in a file: inputs so far, the slowest one's seconds, the peak of memory in bytes, the
    processor time when the current input began (0: none runs), and that input.
    """

    _NUMBERS = struct.Struct("<QdQdQ")

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it."""
        self.path = path
        size = self._NUMBERS.size + _MOST_INPUT_BYTES
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)

    def read(self) -> tuple[int, float, int, float, bytes]:
        """Inputs, slowest seconds, peak bytes, the beginning of the current input, and its bytes."""
        inputs, slowest, peak, began, length = self._NUMBERS.unpack_from(self._memory)
        return inputs, slowest, peak, began, self._memory[self._NUMBERS.size : self._NUMBERS.size + length]

    def begin(self, inputs: int, slowest: float, peak: int, data: bytes) -> float:
        """Notes the beginning of an input; returns the processor time."""
        began = time.process_time()
        self._memory[self._NUMBERS.size : self._NUMBERS.size + len(data)] = data
        self._NUMBERS.pack_into(self._memory, 0, inputs, slowest, peak, began, len(data))
        return began

    def end(self, inputs: int, slowest: float, peak: int) -> None:
        """Notes that no input runs."""
        self._NUMBERS.pack_into(self._memory, 0, inputs, slowest, peak, 0.0, 0)


class Watched:
    """A target that counts its outcomes and passes findings to `report` (a headline, details, the input), each place of
    a failure once.
    """

    def __init__(self, target: Target, state: State, report: Callable[[str, str, bytes], object]) -> None:
        self._run, self._allowed = target.run, target.allowed
        self._state = state
        self._report = report
        self._reported: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self.inputs = 0
        self._first_peak = self.peak = peak_bytes()

    def __call__(self, data: bytes) -> None:
        data = data[:_MOST_INPUT_BYTES]
        began = self._state.begin(self.inputs, self.slowest, self.peak, data)
        try:
            self._run(data)
            self.outcomes["answer"] += 1
        except self._allowed as error:
            self.outcomes[type(error).__name__] += 1
        except BaseException as error:  # noqa: BLE001 - whatever else comes is a finding
            self.outcomes["finding"] += 1
            self._note(_place(error), "".join(traceback.format_exception(error)), data)
        seconds = time.process_time() - began
        self.inputs += 1
        if seconds > self.slowest:
            self.slowest = seconds
            if seconds > MOST_SECONDS:
                self._note("slow", f"{seconds:.1f} s of processor time", data)
        peak = peak_bytes()
        if peak - self.peak > MOST_BYTES:
            self._note("memory", f"the peak grew by {(peak - self.peak) >> 20} MB", data)
        self.peak = peak
        self._state.end(self.inputs, self.slowest, self.peak)

    @property
    def growth(self) -> int:
        """How much the peak of memory has grown since the beginning, in bytes."""
        return self.peak - self._first_peak

    def _note(self, headline: str, details: str, data: bytes) -> None:
        if headline not in self._reported:
            self._reported.add(headline)
            self._report(headline, details, data)


def peak_bytes() -> int:
    """The peak of this process's memory; getrusage would include that of the parent before it started this program."""
    status = _status()
    if status is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(os.pread(status, 4096, 0).partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024


@cache
def _status() -> int | None:
    try:
        return os.open("/proc/self/status", os.O_RDONLY)
    except OSError:
        return None


def save(folder: Path, target: str, headline: str, details: str, data: bytes) -> Path:
    """Writes a finding: its input, and beside it what happened; returns the input's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(f"{headline}\n\n{details}", "utf-8", "backslashreplace")
    return path


def _place(error: BaseException) -> str:
    """The class of an error and the line that raised it, by which findings are told apart."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((each for each in reversed(frames) if each.filename.startswith(_PACKAGE)), frames[-1])
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
