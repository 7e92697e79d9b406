"""A target: a function that reads untrusted bytes, the errors that it documents, and inputs to begin with."""

import importlib
import pkgutil
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fuzz.mutations import Mutate, mutated


@dataclass(frozen=True, slots=True)
class Target:
    """`run` gets the bytes and may raise the `allowed` errors only; any other exception is a finding.

    `seeds` are valid inputs; `tokens` are words of the format, which mutations insert; `mutate` changes an input by the
    rules of its format, by default as text. `corpora` are folders of published malformed files (`fuzz.corpora`).
    """

    run: Callable[[bytes], None]
    allowed: tuple[type[BaseException], ...]
    seeds: Callable[[], Sequence[bytes]]
    tokens: Sequence[bytes] = ()
    mutate: Mutate | None = None
    max_bytes: int = 4096
    corpora: Sequence[str] = ()

    def mutated(self, data: bytes, chance: random.Random) -> bytes:
        """`data` with some changes."""
        if self.mutate is not None:
            return self.mutate(data, chance)[: self.max_bytes]
        return mutated(data, chance, self.tokens)[: self.max_bytes]


def names() -> list[str]:
    """The names of all targets: the modules of `fuzz.targets`."""
    import fuzz.targets

    return sorted(module.name for module in pkgutil.iter_modules(fuzz.targets.__path__))


def load(name: str) -> Target:
    """The target in the module `fuzz.targets.NAME`."""
    target: Target = importlib.import_module(f"fuzz.targets.{name}").TARGET
    return target
