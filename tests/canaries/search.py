"""Finds what must not be there, in any form: texts, photos, vectors, landmarks, similarities."""

import base64
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

#: Octets in a row that are compared; of a canary every `_STEP`-th such window, so that any run of 23 is found.
_WINDOW, _STEP = 16, 8
#: The shortest name of a thread or process that is compared; the kernel cuts them at 15.
_LEAST = 8
#: Windows with fewer different octets are padding, tables and zeros, which other files have too.
_LEAST_DIFFERENT = 6
_NUMBER = re.compile(rb"[-+]?\d+\.(\d+)(?:[eE]([-+]?\d+))?")
#: Decimals from which a pair of consecutive numbers, or three of them, are no coincidence.
_PAIR_DECIMALS, _TRIPLE_DECIMALS = 5, 3


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
        """Numbers of which any three or two in a row, rounded in any way, or their octets must not be written."""
        numbers = np.asarray(values, np.float64).ravel()
        self._sequences[name] = numbers
        for kind in ("<f8", "<f4", "<f2", ">f4"):
            self.add_bytes(name, numbers.astype(kind).tobytes())

    def add_number(self, name: str, value: float) -> None:
        """One number of which four digits or more must not be written (five if it is below 10)."""
        self._numbers[name] = value
        self._exact |= {np.array([value], kind).tobytes(): name for kind in ("<f8", ">f8")}

    def found(self, content: bytes) -> set[str]:
        """The names of all that is in `content`."""
        word = content.strip()
        names = {name for text, name in self._texts.items() if _LEAST <= len(word) < _WINDOW and word in text}
        content = content.replace(b"\\\\", b"\\")
        places = range(len(content) - _WINDOW + 1)
        names |= {self._windows[w] for place in places if (w := content[place : place + _WINDOW]) in self._windows}
        names |= {name for exact, name in self._exact.items() if exact in content}
        return names | self._found_numbers(content)

    def _found_numbers(self, content: bytes) -> set[str]:
        names: set[str] = set()
        values, decimals, digits = _numbers_of(content)
        precise = [name for name, value in self._numbers.items() if _holds(value, values, decimals, digits)]
        names.update(precise)
        half = 0.5001 * 10.0 ** -decimals.astype(float)
        fine, fair = decimals >= _PAIR_DECIMALS, decimals >= _TRIPLE_DECIMALS
        for name, sequence in self._sequences.items():
            near = np.abs(sequence[:, None] - values[None, :]) <= half[None, :]
            pairs = near[:-1, :-1] & near[1:, 1:] & fair[:-1] & fair[1:]
            if (pairs & fine[:-1] & fine[1:]).any() or (pairs[:-1, :-1] & pairs[1:, 1:]).any():
                names.add(name)
        return names


def _numbers_of(content: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """All decimal numbers, the places behind their points, and their significant digits."""
    found = list(_NUMBER.finditer(content))
    exponents = [int(each[2] or 0) if len(each[2] or b"") < 4 else 0 for each in found]
    decimals = [len(each[1]) - exponent for each, exponent in zip(found, exponents, strict=True)]
    digits = [len(re.sub(rb"^[-+0.]*|[eE].*$|\.", b"", each[0])) for each in found]
    values = [float(each[0][:40]) for each in found]
    return np.array(values, float), np.array(decimals, int), np.array(digits, int)


def _holds(value: float, values: NDArray[np.float64], decimals: NDArray[np.int64], digits: NDArray[np.int64]) -> bool:
    close = np.abs(values - value) <= 0.5001 * 10.0 ** -decimals.astype(float)
    return bool((close & (digits >= (4 if value >= 10 else 5))).any())
