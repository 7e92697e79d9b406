"""`likeness serve` whose engine fails for some photos, with photo, vector and similarity in the error's text.

Appends the path of every file that Python opens to write to the file that CANARIES_OPENED names.
"""

import os
import sys
from typing import Any

from likeness.cli.serve import main
from likeness.faces import Comparison
from likeness.server.loader import Compares, load_comparer
from likeness.server.settings import Settings
from likeness.server.several_packs import SeveralPacks
from likeness.system.core_dumps import forbid_core_dumps

OPENED = os.environ["CANARIES_OPENED"]
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or isinstance(arguments[0], int) or not isinstance(arguments[2], int):
        return
    if arguments[2] & _WRITES and arguments[0] != OPENED:
        descriptor = os.open(OPENED, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{arguments[0]}\n".encode())
        os.close(descriptor)


class Failing:
    """A comparer with a bug: it fails for source photos that have one of the `words` as a comment."""

    def __init__(self, comparer: Any, *words: bytes) -> None:
        self._comparer = comparer
        self._words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comparer, name)

    def compare(self, source: bytes, target: bytes, **options: Any) -> Comparison:
        comparison: Comparison = self._comparer.compare(source, target, **options)
        if any(word in source for word in self._words):
            vector = self._comparer.prepare(source).vector
            comparison = self._comparer.compare(source, target, similarity_threshold=0)
            similarity = comparison.matches[0].similarity
            try:
                raise KeyError(bytes(source))
            except KeyError as error:
                raise ValueError(f"{vector!r} {vector.tolist()} {comparison} {similarity}") from error
        return comparison


def load(settings: Settings, threads: int) -> Compares:
    loaded: Any = load_comparer(settings, threads)
    if not isinstance(loaded, SeveralPacks):
        return Failing(loaded, b"please fail")
    others = {name: Failing(each, b"please fail", b"shadow fails") for name, each in loaded._others.items()}
    return SeveralPacks(Failing(loaded._main, b"please fail"), others, loaded._shadow_name)


if __name__ == "__main__":
    forbid_core_dumps()  # as the command does
    sys.addaudithook(note_opened)
    sys.exit(main(sys.argv[1:], load))
