"""Finds what must not be there, in any form: texts, photos, vectors, landmarks, similarities."""

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Octets in a row that are compared; of a canary every `_STEP`-th such window, so that any run of 23 is found.
_WINDOW, _STEP = 16, 8
#: The shortest name of a thread or process that is compared; the kernel cuts them at 15.
_LEAST = 8
#: What is passed over: files and memory are full of it.
_ZEROS = re.compile(rb"\0{65,}")
#: Windows with fewer different octets are padding, tables and zeros, which other files have too.
_LEAST_DIFFERENT = 6
#: Numbers with a point wherever they are; whole ones of two digits or more where they stand alone.
_NUMBER = re.compile(rb"[-+]?\d+\.\d*(?:[eE][-+]?\d{1,2}(?!\d))?|[-+]?(?<![\w.])\d{2,6}(?![\w.])")
#: Decimal digits of information in numbers in a row that are no coincidence: one place in a million, of each sequence.
_LEAST_INFORMATION = 6.0
#: A number near one of these words is found however coarsely it is rounded.
_NAMED = re.compile(
    rb"(?i)(?:similar|cosine|score)[^\d\n]{0,12}?(?P<after>[-+]?\d+(?:\.\d+)?)"
    rb"|(?P<before>[-+]?\d+(?:\.\d+)?)[^\d\n]{0,4}(?:similar|cosine|score)"
)
#: Whole numbers of three digits at most, wherever they stand alone: components of a vector as integers of eight bits.
_SMALL = re.compile(rb"(?<![\w.-])[-+]?\d{1,3}(?:\.0*)?(?![\w.-])")
#: What usually makes such integers of a unit vector; None: what makes its largest component 127.
_SCALES = (127.0, 128.0, None)
#: Numbers that are looked at together.
_BLOCK = 4096


@dataclass(frozen=True)
class Numbers:
    """Decimal numbers in a row, the units of their last digits, and their significant digits."""

    values: NDArray[np.float64]
    units: NDArray[np.float64]
    digits: NDArray[np.int64]

    def __getitem__(self, part: slice) -> "Numbers":
        return Numbers(self.values[part], self.units[part], self.digits[part])

    def near(self, values: NDArray[np.float64]) -> Iterable[NDArray[np.bool_]]:
        """Which of the `values` (rows) each number (columns) is when rounded, and then when cut off."""
        column = values[:, None]
        yield np.abs(column - self.values) <= 0.5001 * self.units
        rest = np.abs(column) - np.abs(self.values)
        yield (rest >= -1e-9) & (rest < self.units) & (column * self.values >= 0)


def forms(data: bytes) -> Iterable[bytes]:
    """The notations in which a program may write octets."""
    yield data
    for shift in range(3):
        for encoded in (base64.b64encode(bytes(shift) + data), base64.urlsafe_b64encode(bytes(shift) + data)):
            yield encoded[4:-4]
    yield data.hex().encode()
    yield data.hex().upper().encode()
    yield repr(data)[2:-1].encode()
    yield repr(list(data)).encode()


class Search:
    """What is searched for, by name."""

    def __init__(self) -> None:
        self._windows: dict[bytes, str] = {}
        self._exact: dict[bytes, str] = {}
        self._sequences: dict[str, NDArray[np.float64]] = {}
        self._scaled: list[tuple[str, NDArray[np.float64]]] = []
        self._numbers: dict[str, float] = {}
        self._texts: dict[bytes, str] = {}

    def add_bytes(self, name: str, data: bytes, notations: Callable[[bytes], Iterable[bytes]] = forms) -> None:
        """Octets in any notation: at least 32 of them, as 23 in a row are found."""
        for form in notations(data):
            for start in range(0, len(form) - _WINDOW + 1, _STEP):
                window = form[start : start + _WINDOW]
                if len(set(window)) >= _LEAST_DIFFERENT:
                    self._windows[window] = name

    def add_text(self, name: str, text: str) -> str:
        """A text in any notation, or eight letters of it that stand alone, as the name of a thread; returns it."""
        self._texts[text.encode()] = name
        self.add_bytes(name, text.encode())
        self.add_bytes(name, text.encode("utf-16-le"))
        return text

    def add_pixels(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Decoded pixels as they lie in memory."""
        self.add_bytes(name, pixels.tobytes(), notations=lambda data: [data])

    def add_sequence(self, name: str, values: NDArray[np.floating] | Sequence[float]) -> None:
        """Numbers of which no run may be written, nor their octets as floats of any size and order.

        They are found rounded or cut off, as far as the run tells more than `_LEAST_INFORMATION`: two numbers with five
        decimals, two landmarks in whole pixels, five coordinates or a dozen components of a vector with two decimals.
        Other numbers between them hide them, and so do scales: `add_vector` finds integers of eight bits.
        """
        numbers = np.asarray(values, np.float64).ravel()
        self._sequences[name] = numbers
        for kind in ("<f8", "<f4", "<f2", ">f8", ">f4", ">f2"):
            self.add_bytes(name, numbers.astype(kind).tobytes())

    def add_vector(self, name: str, values: NDArray[np.floating]) -> None:
        """As `add_sequence`, and also scaled to integers of eight bits, as octets or nine decimal numbers in a row."""
        self.add_sequence(name, values)
        unit = np.asarray(values, np.float64) / np.linalg.norm(values)
        for scale in _SCALES:
            scaled = unit * (scale or 127 / np.abs(unit).max())
            self._scaled.append((name, scaled))
            for whole in (np.rint, np.trunc, np.floor):
                self.add_bytes(name, np.clip(whole(scaled), -128, 127).astype(np.int8).tobytes())

    def add_number(self, name: str, value: float) -> None:
        """One number of which four digits or more must not be written (five if it is below 10).

        Fewer, down to a whole number, are found near "similar", "cosine" or "score".
        """
        self._numbers[name] = value
        self._exact |= {np.array([value], kind).tobytes(): name for kind in ("<f8", ">f8")}

    def found(self, content: bytes) -> set[str]:
        """The names of all that is in `content`."""
        word = content.strip()
        names = {name for text, name in self._texts.items() if _LEAST <= len(word) < _WINDOW and word in text}
        content = _ZEROS.sub(bytes(64), content.replace(b"\\\\", b"\\"))
        places = range(len(content) - _WINDOW + 1)
        names |= {self._windows[w] for place in places if (w := content[place : place + _WINDOW]) in self._windows}
        names |= {name for exact, name in self._exact.items() if exact in content}
        return names | self._found_numbers(content)

    def _found_numbers(self, content: bytes) -> set[str]:
        numbers, small = _numbers_of(content), _small_numbers_of(content)
        named = _numbers([each["after"] or each["before"] for each in _NAMED.finditer(content)])
        return {
            *(name for name, value in self._numbers.items() if _holds(value, numbers) or _holds_coarsely(value, named)),
            *(name for name, sequence in self._sequences.items() if _holds_run(sequence, numbers)),
            *(name for name, scaled in self._scaled if _holds_run(scaled, small)),
        }


def _numbers_of(content: bytes) -> Numbers:
    """All decimal numbers."""
    return _numbers([each[0] for each in _NUMBER.finditer(content)])


def _small_numbers_of(content: bytes) -> Numbers:
    """Whole numbers of three digits at most."""
    texts = [each[0].partition(b".")[0] for each in _SMALL.finditer(content)]
    return _numbers(texts)


def _numbers(texts: Sequence[bytes]) -> Numbers:
    parts = [text.lower().partition(b"e") for text in texts]
    decimals = [len(each.partition(b".")[2]) - int(exponent or 0) for each, _, exponent in parts]
    digits = [len(each.lstrip(b"-+0.").replace(b".", b"")) for each, _, _ in parts]
    values = [float(text) for text in texts]
    return Numbers(np.array(values, float), 10.0 ** -np.clip(np.array(decimals, float), -40, 40), np.array(digits, int))


def _holds(value: float, numbers: Numbers) -> bool:
    enough = numbers.digits >= (4 if abs(value) >= 10 else 5)
    return any((near[0] & enough).any() for near in numbers.near(np.array([value])))


def _holds_coarsely(value: float, named: Numbers) -> bool:
    enough = named.units <= abs(value) / 5
    return any((near[0] & enough).any() for near in named.near(np.array([value])))


def _holds_run(sequence: NDArray[np.float64], numbers: Numbers) -> bool:
    """Whether numbers in a row are values in a row, with more information than coincidence has."""
    starts = range(0, max(1, len(numbers.values) - len(sequence)), _BLOCK)
    blocks = (numbers[start : start + _BLOCK + len(sequence)] for start in starts)
    return any(_holds_run_in_block(sequence, block) for block in blocks)


def _holds_run_in_block(sequence: NDArray[np.float64], numbers: Numbers) -> bool:
    least = _LEAST_INFORMATION + np.log10(len(sequence))
    # Logs are full of zeros, and of numbers near zero, which tell no more than the digits after their zeros.
    telling = np.minimum(numbers.digits, np.log10(np.maximum(1, 4 * sequence.std() / numbers.units)))
    for near in numbers.near(sequence):
        if not (near[:-1, :-1] & near[1:, 1:]).any():
            continue
        run = np.zeros(len(numbers.values) + 1)
        for row in near:
            run[1:] = np.where(row, run[:-1] + telling, 0)
            if (run >= least).any():
                return True
    return False
