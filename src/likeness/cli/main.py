"""The command `likeness`: imports and runs the subcommand; imports nothing heavy before."""

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from likeness.cli.exit_codes import INTERRUPTED, OTHER_ERROR, USAGE_ERROR
from likeness.cli.streams import forget_output, open_closed_streams, say
from likeness.errors import LikenessError
from likeness.system.core_dumps import forbid_core_dumps

_PIPE_CLOSED = 141

#: How much of an unknown command's name is shown: it may be a photo.
_LONGEST_NAME = 60

#: Subcommand → module, function (takes the arguments, returns an exit code), and description.
COMMANDS: dict[str, tuple[str, str]] = {
    "compare-faces": (
        "likeness.cli.compare_faces:main",
        "compare the largest face of one photo with the faces of another",
    ),
    "serve": ("likeness.cli.serve:main", "answer CompareFaces requests over HTTP"),
    "packs": ("likeness.cli.packs:main", "list, show, install, verify and remove model packs"),
    "keys": ("likeness.cli.keys:main", "make and list the access keys of the server"),
    "batch": ("likeness.cli.batch:main", "compare many pairs of photos"),
    "evaluate": ("likeness.cli.evaluate:main", "measure error rates on labelled pairs"),
    "calibrate": ("likeness.cli.calibrate:main", "fit the Similarity of a pack to labelled pairs"),
    "completion": ("likeness.cli.completion:main", "print the completion script for bash, zsh or fish"),
}


def run() -> None:
    """The process `likeness`: `main`, and its exit code.

    After a successful comparison the process exits as soon as all output is written: the teardown of interpreter and
    networks takes a quarter of a second, a fifth of the command. After an error, the engine may still be loading
    (`likeness.cli.preload`), and must not be interrupted while it saves a network.
    """
    try:
        open_closed_streams()
        forbid_core_dumps()
        code = main()
    except KeyboardInterrupt:  # before `main`, or while it reports an error
        code = INTERRUPTED
    if code == 0 and sys.argv[1:2] == ["compare-faces"]:
        os._exit(code)  # both streams are flushed by now
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `likeness` with `arguments` (those of the process by default) and returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has closed it.
        forget_output()
        return _PIPE_CLOSED
    except LikenessError as error:
        say(f"likeness: {error}")
        return OTHER_ERROR
    except OSError as error:
        # Such as a full disk behind standard output.
        forget_output()
        nameless = "the current folder" if isinstance(error, FileNotFoundError) else "the output"
        say(f"likeness: {error.filename or nameless}: {error.strerror or error}")
        return OTHER_ERROR


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        if not given:
            say(_help())
            return USAGE_ERROR
        print(_help())
        return 0
    if given[0] == "--version":
        from likeness.cli.version import version_line

        print(version_line())
        return 0
    if given[0] not in available():
        say(f"likeness: {_unknown(given[0])}")
        return USAGE_ERROR
    return _function(given[0])(given[1:])


def available() -> list[str]:
    """The names of the subcommands that this installation has."""
    return [name for name, (place, _) in COMMANDS.items() if find_spec(place.partition(":")[0]) is not None]


def _function(name: str) -> Callable[[list[str]], int]:
    module, _, function = COMMANDS[name][0].partition(":")
    found: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    return found


def _unknown(name: str) -> str:
    names = available()
    name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    if name.startswith("-"):
        return f"unknown option {name}; see `likeness --help`"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.65)
    hint = f"did you mean {close[0]!r}?" if close else f"commands are {', '.join(names)}"
    return f"unknown command {name!r}; {hint}"


def _help() -> str:
    lines = ["usage: likeness COMMAND [options]", "       likeness --version", "", "commands:"]
    lines += [f"  {name:<15}{COMMANDS[name][1]}" for name in available()]
    lines += ["", "`likeness COMMAND --help` describes one of them."]
    return "\n".join(lines)


if __name__ == "__main__":
    run()
