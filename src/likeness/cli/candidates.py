"""Completions for a command line of `compare-faces`: options, values of enumerations, file names, profiles."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from likeness.cli.options import BY_FLAG, OPTIONS, Option

#: How many names of one folder are offered at most.
MOST_NAMES = 200

_PREFIXES: dict[str, tuple[str, ...]] = {
    "bytes": ("fileb://",),
    "image": ("S3Object={Bucket=", "Bytes=", "file://"),
    "document": ("file://",),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replacement for the word being typed and its description; `complete` if nothing can follow in the same word."""

    text: str
    about: str = ""
    complete: bool = True


def candidates(before: Sequence[str], current: str) -> list[Candidate]:
    """Candidates for the word `current` after the words `before`, best first."""
    awaiting = BY_FLAG.get(before[-1]) if before else None
    if awaiting is not None and awaiting.takes_value:
        values = list(_values(awaiting, current))
        # The value of --generate-cli-skeleton is optional.
        if awaiting.name != "generate-cli-skeleton" or values:
            return values
    return _options(before, current)


def _options(before: Sequence[str], current: str) -> list[Candidate]:
    if current and not current.startswith("-"):
        current = f"--{current}"
    free = [option for option in OPTIONS if option.flag not in before and "cli-auto-prompt" not in option.name]
    # Photos come first, as they are required.
    free.sort(key=lambda option: option.kind != "bytes")
    beginning = [option for option in free if option.flag.startswith(current)]
    inside = [option for option in free if option not in beginning and current.lstrip("-") in option.name]
    return [Candidate(option.flag, option.summary) for option in beginning + inside]


def _values(option: Option, current: str) -> Iterable[Candidate]:
    if option.choices:
        return [Candidate(choice) for choice in option.choices if choice.lower().startswith(current.lower())]
    if option.name == "profile":
        return [Candidate(name) for name in _profiles() if name.startswith(current)]
    if option.kind == "file":
        return _files("", current)
    for prefix in _PREFIXES.get(option.kind, ()):
        if current.startswith(prefix) and prefix.endswith("://"):
            return _files(prefix, current[len(prefix) :])
    return [
        Candidate(prefix, option.summary, complete=False)
        for prefix in _PREFIXES.get(option.kind, ())
        if prefix.startswith(current)
    ]


def _files(prefix: str, path: str) -> Iterable[Candidate]:
    """Names in the folder of `path`, folders ending in a slash; hidden ones only if `path` names a dot."""
    folder, beginning = os.path.split(path)
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            found = sorted(
                (entry.name + "/" if entry.is_dir() else entry.name)
                for entry in entries
                if entry.name.startswith(beginning) and (beginning or not entry.name.startswith("."))
            )
    except OSError:
        return []
    names = [os.path.join(folder, name) for name in found[:MOST_NAMES]]
    return [Candidate(prefix + name, complete=not name.endswith("/")) for name in names]


def _profiles() -> list[str]:
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        return sorted(botocore.session.Session().available_profiles)
    except BotoCoreError:
        return []
